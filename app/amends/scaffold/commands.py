"""The commands `new` and `upgrade`."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from app.amends.output.terminal import print_error_line, print_line


def new(
    folder: Annotated[Path, typer.Argument(help="Where it is to be; it must not be there yet, or be empty.")],
    bare: Annotated[bool, typer.Option("--bare", help="One small saga, and not the example business.")] = False,
    name: Annotated[str, typer.Option(help="Its name, if not that of the folder.")] = "",
    amends: Annotated[
        str, typer.Option(help="Where it has Amends from: VERSION, WHEEL or git+URL@REF; if not said, what runs here.")
    ] = "",
) -> None:
    """Make a project of your own that depends on Amends."""
    from contextlib import nullcontext

    from app.amends.scaffold.new_project import make_project
    from app.amends.scaffold.source import own_source, source_of
    from app.amends.scaffold.templates import ProjectName
    from app.amends.scaffold.tools import require_git

    os.chdir(os.environ.get("_AMENDS_CALLER", "."))
    whole = folder.absolute()
    named = ProjectName(name or whole.resolve().name.lower().replace("_", "-").replace(" ", "-"))
    require_git("which a new project is kept in")
    with nullcontext(source_of(amends)) if amends else own_source() as source:
        make_project(whole, named, source, bare, lambda text: _say(text, print_error_line))
    print_line(f"{named.title} is made in {folder}, with {source}. Next:")
    print_line(f"  cd {shlex.quote(str(folder))} && ./run up      and ./run test; README.md says what there is")


def upgrade(
    target: Annotated[
        str, typer.Argument(metavar="[VERSION|WHEEL|GIT-REF]", help="Which; if not said, the newest one.")
    ] = "",
) -> None:
    """Bring this project to another version of Amends: install it, try it, and commit it if all of that has passed."""
    from app.amends.scaffold.upgrade import upgrade_project

    if not upgrade_project(Path.cwd(), target, lambda text: _say(text, print_line)):
        raise SystemExit(1)


def _say(text: str, printed: Callable[[str], None]) -> None:
    for line in text.splitlines():
        printed(line)
