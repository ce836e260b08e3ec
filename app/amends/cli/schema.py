"""Shapes and marks of stored data: locked in a file, so that none changes by accident."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from app.amends.cli.project import AsJson, database_in_use, project_service, project_settings
from app.amends.output.terminal import print_json, print_line
from app.amends.output.typed_commands import as_typed

if TYPE_CHECKING:
    from app.amends.schema.catalogue import DomainCatalogue
    from app.amends.schema.files import LockFiles
    from app.amends.schema.shapes import KnownShape

schema = typer.Typer(no_args_is_help=True, help=__doc__)


@schema.command("check")
def check(as_json: AsJson = False) -> None:
    """Compare the code with the locked shapes, and read the samples of events; exit 1 if something is wrong."""
    files, known, code = project_schema()
    found = list(files.problems(known, code, files.read(code)))
    if as_json:
        print_json({"problems": found})
    else:
        for line in found or ["Everything has the shape and the marks that are locked."]:
            print_line(as_typed(line))
    raise SystemExit(1 if found else 0)


@schema.command("lock")
def lock(
    replace: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KIND:NAME:VERSION",
            help="It was never stored: lock it anew, or drop it if it is gone.",
        ),
    ] = None,
    lift: Annotated[
        list[str] | None,
        typer.Option(metavar="KIND:NAME:PATH", help="This was marked, and may be seen by anybody, in all versions."),
    ] = None,
) -> None:
    """Lock the shape and marks of all that is not locked yet, and write samples of events; locked ones stay."""
    from app.amends.schema import lock as locks

    files, known, code = project_schema()
    before = files.read(code)
    new = locks.updated_lock(code, before, replace or (), lift or ())
    files.write(new)
    added, gone = len(new.shapes.keys() - before.shapes), len(before.shapes.keys() - new.shapes)
    dropped = f", {gone} that the code has no more were dropped" if gone else ""
    print_line(f"{added} shapes were locked in {files.of_project.name}{dropped}: commit it.")
    if samples := files.write_samples(known, new, replace or ()):
        folders = " and ".join(sorted({str(path.parent.relative_to(files.root)) for path in samples}))
        print_line(f"Samples were written to {folders}: {', '.join(path.name for path in samples)}.")
    left = list(files.problems(known, code, new))
    for line in left:
        print_line(as_typed(line))
    raise SystemExit(1 if left else 0)


@schema.command("try-migrations")
def try_migrations() -> None:
    """Apply the migrations that are missing to a copy of the database's schema; the database itself stays as it is."""
    from app.amends.output.code_errors import team_code
    from app.amends.postgres.embedded.programs import find_binaries
    from app.amends.postgres.schema_copy import try_migrations as tried

    with database_in_use() as access:
        programs, root = project_settings().postgres_bin or find_binaries(), project_service().root
        with team_code():  # whose migrations may be wrong
            names = tried(access.owner, programs, root)
    print_line(f"{len(names)} migrations fit the schema: {'; '.join(names)}" if names else "No migration is missing.")


def project_schema() -> tuple[LockFiles, DomainCatalogue, list[KnownShape]]:
    """The lock files of this project, its catalogue, and the shapes that its code declares."""
    from app.amends.cli.command_context import definitions
    from app.amends.schema.catalogue import load_catalogue
    from app.amends.schema.files import LockFiles
    from app.amends.schema.shapes import declared_shapes

    service, settings, known = project_service(), project_settings(), load_catalogue()
    return LockFiles(service.root), known, list(declared_shapes(known, definitions(service, settings)))
