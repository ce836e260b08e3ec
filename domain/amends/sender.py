"""Marks the field of a signal or a request that says who sent it: Annotated[str, SENDER]."""

from __future__ import annotations

from dataclasses import dataclass, fields, is_dataclass
from typing import Any, Final, get_args, get_type_hints

from domain.amends.errors import Invalid


@dataclass(frozen=True)
class Sender:
    """Why a field may be left out by whoever sends it: it is filled in with the actor's name."""


SENDER: Final = Sender()


def fill_in_sender(data: Any, annotation: object, actor: str, known: bool) -> Any:
    """Plain data from outside with the fields filled in that say who sent it; they name nobody else if the actor is
    `known`, by a token for instance. Raises Invalid for one that does."""
    if not isinstance(data, dict):
        return data
    names = sender_fields(annotation)
    for name in names:
        if known and data.get(name, actor) != actor:
            raise Invalid(name, f"is who sends it, {actor}: leave it out")
    return dict.fromkeys(names, actor) | data


def sender_fields(annotation: object) -> tuple[str, ...]:
    """The fields of a class that are marked with SENDER."""
    if not (isinstance(annotation, type) and is_dataclass(annotation)):
        return ()
    hints = get_type_hints(annotation, include_extras=True)
    return tuple(each.name for each in fields(annotation) if SENDER in get_args(hints[each.name])[1:])
