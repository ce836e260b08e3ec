"""The command `amends`, and `python -m amends`: a small door that looks whether `app` and its neighbours are whole."""

import importlib.util
import os
import sys

RINGS = ("domain", "workflows", "app", "migrations")


def main() -> None:
    """Run a command in the project whose folder this is."""
    sys.path.insert(0, os.getcwd())
    for name in RINGS:
        found = importlib.util.find_spec(name)
        if found is not None and found.origin is not None:
            sys.exit(
                f"amends: {found.origin} makes {name!r} a package of its own, which hides the part of it that Amends "
                f"brings.\namends: Remove that file: without it Python merges both. Or rename what it belongs to."
            )
    from app.amends.cli.main import main as run

    run()


if __name__ == "__main__":
    main()
