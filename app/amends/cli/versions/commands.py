"""The commands about versions of a saga."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from app.amends.cli.help.completion import saga_names
from app.amends.cli.project import AsJson, look_at_database, run_on_database
from app.amends.output.terminal import print_json, print_line
from domain.amends.errors import Invalid

if TYPE_CHECKING:
    from app.amends.cli.command_context import CommandContext
    from app.amends.cli.versions.migrating import MigrationReport

Name = Annotated[str, typer.Argument(autocompletion=saga_names, help="The name of a saga, such as place-order.")]


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
        found.append(await migrate_instances(context, name, to, ids or [], reason, dry_run))

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
