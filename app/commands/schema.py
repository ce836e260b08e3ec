"""The shapes and marks of what is stored: locked in a file, so that none changes by accident."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from app.commands.opened import AsJson
from app.terminal import print_json, say

if TYPE_CHECKING:
    from app.catalogue import Catalogue
    from app.shapes import Known

schema = typer.Typer(no_args_is_help=True, help=__doc__)


@schema.command("check")
def check(as_json: AsJson = False) -> None:
    """Compare the code with what is locked, and read the samples of events; exit 1 and say what is wrong."""
    from app import schema_lock, schema_samples

    known, code = code_at_hand()
    locked = schema_lock.read(code=code)
    found = [*schema_lock.problems(known, code, locked), *schema_samples.problems(known, locked.events)]
    if as_json:
        print_json({"problems": found})
    else:
        for line in found or ["Everything has the shape and the marks that are locked."]:
            say(line)
    raise SystemExit(1 if found else 0)


@schema.command("lock")
def lock(
    replace: Annotated[
        list[str] | None,
        typer.Option(metavar="KIND:NAME:VERSION", help="Lock this one anew, if it was never stored anywhere."),
    ] = None,
    lift: Annotated[
        list[str] | None,
        typer.Option(metavar="KIND:NAME:PATH", help="This was marked, and may be seen by anybody, in all versions."),
    ] = None,
) -> None:
    """Write the shape and marks of all that is not locked yet, and samples of events; what is there stays."""
    from app import schema_lock, schema_samples

    known, code = code_at_hand()
    before = schema_lock.read(code=code)
    new = schema_lock.lock(code, before, replace or (), lift or ())
    schema_lock.write(new)
    say(f"{len(new.shapes) - len(before.shapes)} shapes were locked in {schema_lock.FILE.name}: commit it.")
    if samples := schema_samples.write(known, new.events, [each.removeprefix("event:") for each in replace or ()]):
        say(f"Samples were written to {schema_samples.FOLDER.name}: {', '.join(path.name for path in samples)}.")
    left = [*schema_lock.problems(known, code, new), *schema_samples.problems(known, new.events)]
    for line in left:
        say(line)
    raise SystemExit(1 if left else 0)


def code_at_hand() -> tuple[Catalogue, list[Known]]:
    """What is declared in this project, and the shapes of it."""
    from app.catalogue import catalogue
    from app.processes import sagas, unconnected
    from app.shapes import declared

    known = catalogue()
    return known, list(declared(known, [saga.definition for saga in sagas(unconnected(), 0)]))
