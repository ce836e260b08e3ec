"""Redacts texts that repeat errors: the values of facts that are marked by now are taken out of them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any

from app.amends.schema.register import ShapeQuery, ShapeRegister
from domain.amends.errors import AmendsError
from domain.amends.sensitive import MASK
from workflows.amends.redaction.sensitive import SHORTEST, value_texts, without_values
from workflows.amends.redaction.visibility import MaskCount
from workflows.amends.values.codec import load
from workflows.amends.values.refusals import refusal_class


class ErrorMessageRedactor:
    """Cleans texts by what the register knows of the facts of errors."""

    def __init__(self, register: ShapeRegister) -> None:
        self._register = register

    def shape_of(self, error: dict[str, Any]) -> ShapeQuery:
        """The shape by which the facts of an error are redacted."""
        name = str(error.get("name"))
        refusal, other = ShapeQuery("refusal", name), ShapeQuery("error", name)
        form = self._register.visibility
        return other if form(refusal).unknown and not form(other).unknown else refusal

    def redact_message(self, error: dict[str, Any]) -> Any:
        """An error's message: remade where it may say a marked value in other words, MASK if it cannot be."""
        said, hidden = error.get("message"), self._hidden(error)
        if not hidden or not isinstance(said, str):
            return said
        if all(len(value) >= SHORTEST and value in said for value in hidden):
            return without_values(said, tuple(sorted(hidden, key=len, reverse=True)))
        return self._remade(error, self._suspect(error))

    def redact_facts(self, error: dict[str, Any], shown: Any) -> Any:
        """An error's facts, which the register has redacted to `shown`, also without what its message hides."""
        suspect = self._suspect(error)
        return {name: MASK if name in suspect else fact for name, fact in shown.items()} if suspect else shown

    def _suspect(self, error: dict[str, Any]) -> set[str]:
        """The facts of a refusal that its message does not repeat, if that hides something which no mark explains.

        A refusal is stored with all its facts, for it is made of them again, but with a message without what was secret
        then, such as the argument of a step: a fact may repeat that.
        """
        facts, said = error.get("facts"), error.get("message")
        if self.shape_of(error).kind != "refusal" or not isinstance(facts, dict) or MASK not in str(said):
            return set()
        if said == self._remade(error):
            return set()
        return {name for name, fact in facts.items() if not all(each in str(said) for each in _leaves([fact]))}

    def redact_text(self, text: Any, errors: Sequence[dict[str, Any]]) -> Any:
        """A text, or all texts of a value, without the marked values of these errors."""
        if isinstance(text, dict):
            return {name: self.redact_text(value, errors) for name, value in text.items()}
        if isinstance(text, list):
            return [self.redact_text(value, errors) for value in text]
        return self._text(text, errors) if isinstance(text, str) else text

    def _text(self, text: str, errors: Sequence[dict[str, Any]]) -> str:
        for error in errors:
            hidden, message = self._hidden(error), error.get("message")
            if hidden and message and isinstance(message, str):
                text = text.replace(message, self.redact_message(error))
            text = without_values(text, tuple(sorted(value_texts(hidden), key=len, reverse=True)))
        return text

    def _hidden(self, error: dict[str, Any]) -> list[str]:
        """The values of an error's marked facts, also those that are too short to be searched for."""
        return list(_leaves(self._register.visibility(self.shape_of(error)).hidden(error.get("facts"))))

    def _remade(self, error: dict[str, Any], also: Collection[str] = ()) -> str:
        """The message as the class makes it of the facts."""
        cls, facts = refusal_class(str(error.get("name"))), error.get("facts")
        if cls is None or cls.__str__ is not AmendsError.__str__ or not isinstance(facts, dict):
            return MASK
        form = self._register.visibility(self.shape_of(error))
        marked = [name for name, fact in facts.items() if form.field(name).masked(fact, MaskCount()) != fact]
        try:
            made: str = without_values(load(facts, cls).redacted_message({*marked, *also}))
        except Exception:  # facts of an older class, and whatever a class does when it is made
            return MASK
        return made


def _leaves(values: Iterable[Any]) -> Iterator[str]:
    for value in values:
        if isinstance(value, dict | list):
            yield from _leaves(value.values() if isinstance(value, dict) else value)
        elif value is not None and value != "" and value != MASK:
            yield str(value)
