"""The commands about versions of a saga."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from app.amends.cli.help.completion import saga_names
from app.amends.cli.project import AsJson, look_at_database, project_service, project_settings, run_on_database
from app.amends.output.terminal import print_json, print_line
from domain.amends.errors import AmendsError, Invalid

if TYPE_CHECKING:
    from app.amends.cli.command_context import CommandContext
    from app.amends.cli.versions.migrating import MigrationReport

Name = Annotated[str, typer.Argument(autocompletion=saga_names, help="The name of a saga, such as place-order.")]


def version(name: Name, as_json: AsJson = False) -> None:
    """Make a new version of a saga, in its file; the version of before gets a file of its own, and goes on.

    The classes of the file stay in it, and the old version imports them; functions and constants that it needs are
    copied. app/main.py then makes both, with the same gateways, and the shapes of both are locked. Nothing is written
    unless all of that can be.
    """
    from app.amends.cli.command_context import definitions
    from app.amends.cli.moving import relative_path
    from app.amends.versioning.new_version import make_version

    service = project_service()
    made = make_version(service.root, definitions(service, project_settings()), name)
    unfinished, unasked = _unfinished(name, made.version - 1)
    made.write()
    files = [relative_path(path) for path in made.texts]
    if as_json:
        print_json({"name": name, "version": made.version, "files": files, "unfinished": unfinished})
        return
    print_line(f"{name}:{made.version - 1} is in {files[0]} now, and goes on as it is.")
    print_line(f"{name}:{made.version} is in {files[1]}: change it there. Changed too: {', '.join(files[2:])}.")
    if unfinished is None:
        print_line(f"How many sagas need version {made.version - 1} was not asked: {unasked}.")
    else:
        print_line(f"Sagas that are not finished and need version {made.version - 1}: {unfinished}.")


def _unfinished(name: str, version: int) -> tuple[int | None, str]:
    """How many sagas of a version are not finished; None, and why, if no database can be asked."""
    settings = project_settings()
    if settings.database_url is None and not (settings.data_dir / "postgres").is_dir():
        return None, "there is no database here"
    found: list[int] = []

    async def count(context: CommandContext) -> None:
        from app.amends.store.sagas.versions import PostgresVersions, VersionUse

        uses = await PostgresVersions(context.reader).uses()
        found.append(uses.get((name, version), VersionUse()).unfinished)

    try:
        look_at_database(count)
    except (AmendsError, OSError) as error:
        return None, str(error).rstrip(".")
    return (found[0], "") if found else (0, "")


def migrate(
    name: Name,
    ids: Annotated[list[str] | None, typer.Argument(metavar="ID", help="Which; all, if none is given.")] = None,
    *,
    to: Annotated[int, typer.Option("--to", min=1, help="The version with which they are to go on.")],
    reason: Annotated[str, typer.Option(help="Why; it stays on record. A dry run needs none.")] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say which would be moved, and move none.")] = False,
    as_json: AsJson = False,
) -> None:
    """Let sagas that wait go on with another version of their code, if what is recorded of them fits it.

    Each is moved in one transaction, and its history says so. The others stay, and the answer says why; the status is 1
    if there are any.
    """
    from app.amends.cli.versions.migrating import migrate_instances

    if not dry_run and not reason:
        raise Invalid("reason", "is missing: it stays on record, so say why with --reason")
    found: list[MigrationReport] = []

    async def move(context: CommandContext) -> None:
        found.append(await migrate_instances(context, name, to, list(dict.fromkeys(ids or [])), reason, dry_run))

    if dry_run:
        look_at_database(move)
    else:
        run_on_database(move)
    for report in found:
        if as_json:
            print_json(report.json())
        else:
            for line in report.lines():
                print_line(line)
        if report.kept:
            raise SystemExit(1)
