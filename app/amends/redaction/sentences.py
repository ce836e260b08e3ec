"""What was said because of errors, as it may be shown: without the values of their facts that are marked by now."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any

from app.amends.schema.register import Register, Wanted
from domain.amends.errors import AmendsError
from domain.amends.sensitive import MASK
from workflows.amends.redaction.forms import Look
from workflows.amends.redaction.sensitive import SHORTEST, cleaned, texts
from workflows.amends.values.codec import load
from workflows.amends.values.refusals import refusal_class


class Sentences:
    """Cleans what was said by what the register knows of the facts of errors."""

    def __init__(self, register: Register) -> None:
        self._register = register

    def wanted(self, error: dict[str, Any]) -> Wanted:
        """What the facts of an error are to be shown as."""
        name = str(error.get("name"))
        refusal, other = Wanted("refusal", name), Wanted("error", name)
        form = self._register.form
        return other if form(refusal).unknown and not form(other).unknown else refusal

    def message(self, error: dict[str, Any]) -> Any:
        """An error's message: made anew where a marked value may stand in it in other words, MASK if it cannot be."""
        said, hidden = error.get("message"), self._hidden(error)
        if not hidden or not isinstance(said, str):
            return said
        if all(len(value) >= SHORTEST and value in said for value in hidden):
            return cleaned(said, tuple(sorted(hidden, key=len, reverse=True)))
        return self._anew(error, self._suspect(error))

    def facts(self, error: dict[str, Any], shown: Any) -> Any:
        """An error's facts, of which the register has `shown` some, also without what its message hides."""
        suspect = self._suspect(error)
        return {name: MASK if name in suspect else fact for name, fact in shown.items()} if suspect else shown

    def _suspect(self, error: dict[str, Any]) -> set[str]:
        """The facts of a refusal that its message does not say, if something was hidden there that no mark explains.

        A refusal is stored with whole facts, for it comes back of them, but its message without what was secret then,
        such as the argument of a step: a fact may repeat it.
        """
        facts, said = error.get("facts"), error.get("message")
        if self.wanted(error).kind != "refusal" or not isinstance(facts, dict) or MASK not in str(said):
            return set()
        if said == self._anew(error):
            return set()
        return {name for name, fact in facts.items() if not all(each in str(said) for each in _leaves([fact]))}

    def cleaned(self, said: Any, errors: Sequence[dict[str, Any]]) -> Any:
        """What was said because of some of these errors, in a text or in all texts of a value."""
        if isinstance(said, dict):
            return {name: self.cleaned(value, errors) for name, value in said.items()}
        if isinstance(said, list):
            return [self.cleaned(value, errors) for value in said]
        return self._text(said, errors) if isinstance(said, str) else said

    def _text(self, text: str, errors: Sequence[dict[str, Any]]) -> str:
        for error in errors:
            hidden, said = self._hidden(error), error.get("message")
            if hidden and said and isinstance(said, str):
                text = text.replace(said, self.message(error))
            text = cleaned(text, tuple(sorted(texts(hidden), key=len, reverse=True)))
        return text

    def _hidden(self, error: dict[str, Any]) -> list[str]:
        """The values of an error's facts that are marked by now, also those too short to be looked for."""
        return list(_leaves(self._register.form(self.wanted(error)).hidden(error.get("facts"))))

    def _anew(self, error: dict[str, Any], also: Collection[str] = ()) -> str:
        """The message as the class makes it of its facts."""
        cls, facts = refusal_class(str(error.get("name"))), error.get("facts")
        if cls is None or cls.__str__ is not AmendsError.__str__ or not isinstance(facts, dict):
            return MASK
        form = self._register.form(self.wanted(error))
        marked = [name for name, fact in facts.items() if form.field(name).masked(fact, Look()) != fact]
        try:
            made: str = cleaned(load(facts, cls).told({*marked, *also}))
        except Exception:  # facts of an older class, and whatever a class does when it is made
            return MASK
        return made


def _leaves(values: Iterable[Any]) -> Iterator[str]:
    for value in values:
        if isinstance(value, dict | list):
            yield from _leaves(value.values() if isinstance(value, dict) else value)
        elif value is not None and value != "" and value != MASK:
            yield str(value)
