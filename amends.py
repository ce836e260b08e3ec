"""The command `amends`, and `python -m amends`: a small door that looks whether `app` and its neighbours are whole."""

import importlib.util
import os
import signal
import sys
from importlib.machinery import ModuleSpec
from importlib.metadata import packages_distributions

RINGS = ("domain", "workflows", "app", "migrations")
INTERRUPTED = 128 + signal.SIGINT


def main() -> None:
    """Run a command in the project whose folder this is; one that is interrupted says nothing more."""
    try:
        _run()
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)


def _run() -> None:
    here = os.getcwd()
    if here not in sys.path:
        sys.path.insert(0, here)
    for name in RINGS:
        found = importlib.util.find_spec(name)
        if found is not None and found.origin is not None:
            sys.exit(_hidden(name, found))
    from app.amends.cli.main import main as run

    run()


def _hidden(name: str, found: ModuleSpec) -> str:
    """What hides our part of a ring, and what to do about it: Python merges only folders that have no `__init__.py`."""
    others = {each for each in packages_distributions().get(name, ()) if each != "amends"}
    if others and not str(found.origin).startswith(os.getcwd() + os.sep):
        remedy = f"It is of {' or '.join(sorted(others))}, which cannot be installed beside Amends: uninstall it."
    elif found.submodule_search_locations is not None:
        remedy = f"Remove that file: without it Python merges the folder {name!r} with the one that Amends brings."
    else:
        remedy = "Give that file another name."
    kind = "package" if found.submodule_search_locations is not None else "module"
    problem = f"{found.origin} makes {name!r} a {kind} that hides the part of it that Amends brings."
    return f"amends: {problem}\namends: {remedy}"


if __name__ == "__main__":
    main()
