"""The commands of a project, beside those of Amends."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Sequence
from typing import Any

import typer

from domain.amends.errors import StartupError


def own_commands(functions: Sequence[Callable[..., None]], taken: Collection[str]) -> dict[str, Any]:
    """A project's commands by name. Raises StartupError for one that is none, and for a name that another one has."""
    made = typer.Typer(add_completion=False)
    made.command(hidden=True)(lambda: None)  # with one command alone Typer would make no group
    known: dict[str, Any] = {}
    for each in functions:
        if not inspect.isroutine(each):
            raise StartupError(
                f"commands of Service has {each!r}, which is no function.",
                "List functions, uncalled.",
            )
        made.command()(each)
        name = typer.main.get_command_name(each.__name__)
        place = f"{each.__module__}.{each.__qualname__}"
        if name in taken:
            raise StartupError(
                f"The command {name!r} of {place} is one of Amends' own.", "Give the function another name."
            )
        if name in known:
            raise StartupError(
                f"The command {name!r} is given twice, by {known[name]} and {place}.", "Give one of them another name."
            )
        known[name] = place
    return {name: each for name, each in typer.main.get_group(made).commands.items() if not each.hidden}
