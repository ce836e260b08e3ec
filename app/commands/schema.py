"""The shapes and marks of what is stored: locked in a file, so that none changes by accident."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from app.commands.opened import AsJson, print_json

if TYPE_CHECKING:
    from app.catalogue import Catalogue
    from app.shapes import Known

schema = typer.Typer(no_args_is_help=True, help=__doc__)


@schema.command("check")
def check(as_json: AsJson = False) -> None:
    """Compare the code with what is locked; exit 1 and say what differs."""
    from app import schema_lock

    known, code = code_at_hand()
    found = list(schema_lock.problems(known, code, schema_lock.read(code=code)))
    if as_json:
        print_json({"problems": found})
    else:
        print("\n".join(found) or "Everything has the shape and the marks that are locked.")
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
    """Write the shape of everything that is not locked yet, with its marks; what is locked stays."""
    from app import schema_lock

    known, code = code_at_hand()
    before = schema_lock.read(code=code)
    new = schema_lock.lock(code, before, replace or (), lift or ())
    schema_lock.write(new)
    print(f"{len(new.shapes) - len(before.shapes)} shapes were locked in {schema_lock.FILE.name}: commit it.")
    left = list(schema_lock.problems(known, code, new))
    print("\n".join(left), end="\n" if left else "")
    raise SystemExit(1 if left else 0)


def code_at_hand() -> tuple[Catalogue, list[Known]]:
    """What is declared in this project, and the shapes of it."""
    from app.catalogue import catalogue
    from app.processes import sagas, unconnected
    from app.shapes import declared

    known = catalogue()
    return known, list(declared(known, [saga.definition for saga in sagas(unconnected(), 0)]))
