"""Rewrites a team's files from the first layout of Amends to today's."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from app.amends.output.terminal import print_error_line, print_line

Where = Annotated[Path, typer.Argument(exists=True, help="A folder, or one file.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be changed, and change nothing.")]


def rewrite_imports(folder: Where, dry_run: DryRun = False) -> None:
    """Rewrite imports from the first layout of Amends, and names that are called otherwise now, in a folder's files.

    Each file that is changed is printed, and each line that a person has to look at. Nothing is changed if a file
    cannot be read. What the folder has itself under an old name is left as it is.
    """
    from app.amends.moving.folder import Folder

    every = list(Folder(folder).rewritten())
    for file, new in every:
        changed = file.text != new.text
        if changed and not dry_run:
            file.write(new.text)
        if changed:
            print_line(f"{'would change' if dry_run else 'changed'}  {relative_path(file.path)}")
        for line, what in new.told:
            print_error_line(f"look at  {relative_path(file.path)}:{line}  {what}.")
    count = sum(file.text != new.text for file, new in every)
    print_line(f"{count} of {len(every)} files {'would be' if dry_run else 'were'} changed.")


def relative_path(path: Path) -> str:
    """A path as it is seen from here."""
    here = Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)
