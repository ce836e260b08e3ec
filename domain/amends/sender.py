"""Marks the field of a signal or of a saga's input that says who sent it: Annotated[str, SENDER]."""

from __future__ import annotations

from dataclasses import dataclass, is_dataclass
from typing import Any, Final, get_args

from domain.amends.errors import DefinitionError, Invalid
from domain.amends.sensitive import fields_of, parts_of


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
    if not is_dataclass(annotation):
        return ()
    return tuple(name for name, hint in fields_of(annotation).items() if SENDER in get_args(hint)[1:])


def require_fillable(annotation: object, where: str) -> None:
    """Raise DefinitionError for a mark that would do nothing: only a text of the class itself is filled in."""
    for name, hint in fields_of(annotation).items():
        wanted = f"{where}, field {name!r}"
        if SENDER in get_args(hint)[1:] and is_dataclass(annotation):
            if get_args(hint)[0] is not str:
                raise DefinitionError(wanted, "is filled in with a name, so it is a text: Annotated[str, SENDER]")
        else:
            _require_no_sender(hint, wanted, ())
    if not fields_of(annotation):
        _require_no_sender(annotation, where, ())


def _require_no_sender(annotation: object, where: str, above: tuple[object, ...]) -> None:
    if annotation in above:
        return
    for each in (*parts_of(annotation), *fields_of(annotation).values()):
        if isinstance(each, Sender):
            raise DefinitionError(where, "marks SENDER within: only a field of the class that is sent is filled in")
        _require_no_sender(each, where, (*above, annotation))
