"""The shapes of events: locked in a file, so that none changes by accident."""

from __future__ import annotations

from typing import Annotated

import typer

from app.commands.opened import AsJson, print_json

schema = typer.Typer(no_args_is_help=True, help=__doc__)


@schema.command("check")
def check(as_json: AsJson = False) -> None:
    """Compare the events of the code with the locked shapes; exit 1 and say which if they differ."""
    from app import schema_lock
    from app.catalogue import catalogue

    found = list(schema_lock.problems(catalogue(), schema_lock.read()))
    if as_json:
        print_json({"problems": found})
    else:
        print("\n".join(found) or "Every event has the shape that is locked.")
    raise SystemExit(1 if found else 0)


@schema.command("lock")
def lock(
    replace: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME:VERSION", help="Lock this one anew, if it was never stored anywhere."),
    ] = None,
) -> None:
    """Write the shape of every event and version that is not locked yet; what is locked stays."""
    from app import schema_lock
    from app.catalogue import catalogue

    known = schema_lock.read()
    new = schema_lock.lock(catalogue(), known, replace or ())
    schema_lock.write(new)
    count = sum(len(versions) for versions in new.values()) - sum(len(versions) for versions in known.values())
    print(f"{count} shapes were locked in {schema_lock.FILE.name}: commit it.")
    left = list(schema_lock.problems(catalogue(), new))
    print("\n".join(left), end="\n" if left else "")
    raise SystemExit(1 if left else 0)
