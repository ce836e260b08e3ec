"""Values that stand in for others of the same type and length: for the same value the same one, not to be undone."""

from __future__ import annotations

import re
from collections.abc import Iterator
from hashlib import shake_256
from secrets import token_bytes
from typing import Any, Final

from workflows.amends.redaction.sensitive import SHORTEST
from workflows.amends.redaction.visibility import Visibility

LETTERS: Final = "abcdef"
"""The letters of stand-ins: what was hexadecimal still is."""
CLOCK: Final = r"\d\d:\d\d(:\d\d([.,]\d+)?)?(Z|[+-]\d\d:?\d\d)?"
DATE: Final = re.compile(rf"(?P<date>\d{{4}}-\d\d-\d\d)(?P<time>[T ]{CLOCK})?", re.ASCII)
TIME: Final = re.compile(CLOCK, re.ASCII)
NUMBER: Final = re.compile(r"[+-]?(?P<digits>\d+(\.\d+)?)([eE][+-]?\d+)?", re.ASCII)
DURATION: Final = re.compile(r"-?P(?=.*\d)[\dDHMSTWY.,]+", re.ASCII)


class StandIns:
    """The stand-ins of one export; `key` is what they depend on beside the values, and is kept nowhere.

    What they stood in for is replaced in other texts too: those may repeat it.
    """

    def __init__(self, key: bytes | None = None) -> None:
        self._key = token_bytes(32) if key is None else key
        self._replaced: dict[str, str] = {}

    def value(self, data: Any, form: Visibility) -> Any:
        """What stands in for a value, by what is known of its shape: names of fields and what is one of few stay so."""
        if data is None:
            return None
        if choices := [each for each in form.choices() if type(each) is type(data)]:
            return choices[next(self._bytes(str(data))) % len(choices)] if data in choices else choices[0]
        if isinstance(data, dict):
            return {
                name if form.names_field(name) else self.text(name): self.value(value, form.field(name))
                for name, value in data.items()
            }
        if isinstance(data, list):
            return [self.value(value, form.item(number)) for number, value in enumerate(data)]
        return self.text(data) if isinstance(data, str) else self._number(data)

    def text(self, text: str) -> str:
        """A text of the same length and form."""
        made = self._made(text)
        self._note(text, made)
        return made

    def elsewhere(self, data: Any) -> Any:
        """Data in whose texts nothing is left of the values that were replaced; the longest are looked for first."""
        if isinstance(data, dict):
            return {self.elsewhere(name): self.elsewhere(value) for name, value in data.items()}
        if isinstance(data, list):
            return [self.elsewhere(value) for value in data]
        if not isinstance(data, str):
            return data
        known = sorted(self._replaced, key=len, reverse=True)
        return re.sub("|".join(map(re.escape, known)), lambda found: self._replaced[found[0]], data) if known else data

    def _number(self, number: Any) -> Any:
        """A truth says nothing any more; a number has as many digits as before."""
        if isinstance(number, bool):
            return False
        written = repr(number)
        if (form := NUMBER.fullmatch(written)) is None:
            return type(number)(1)
        made = type(number)(self._digits(written, *form.span("digits")))
        self._note(written, repr(made))
        return made

    def _note(self, value: str, made: str) -> None:
        if len(value) >= SHORTEST:
            self._replaced[value] = made

    def _made(self, text: str) -> str:
        if form := DATE.fullmatch(text):
            return self._date(text) + self._time(form["time"] or "")
        if TIME.fullmatch(text):
            return self._time(text)
        if form := NUMBER.fullmatch(text):
            return self._digits(text, *form.span("digits"))
        drawn = self._bytes(text)
        if DURATION.fullmatch(text):
            return "".join(str(1 + next(drawn) % 2) if each.isdigit() else each for each in text)
        return "".join(_character(each, next(drawn)) for each in text)

    def _date(self, text: str) -> str:
        year, month, day, *_ = self._bytes(text[:10])
        return f"{1950 + year % 50:04}-{1 + month % 12:02}-{1 + day % 28:02}"

    def _time(self, text: str) -> str:
        """A time with the same offset: hours, minutes and seconds between 11 and 15."""
        drawn = self._bytes(text)
        clock = re.match(r"[T ]?[\d:.,]*", text, re.ASCII)
        assert clock is not None
        digits = clock[0].lstrip("T ")
        made = "".join(
            ("1" if at % 3 == 0 else str(1 + next(drawn) % 5)) if each.isdigit() else each
            for at, each in enumerate(digits)
        )
        return text[: len(clock[0]) - len(made)] + made + text[clock.end() :]

    def _digits(self, text: str, start: int, end: int) -> str:
        drawn = self._bytes(text)
        made = "".join(str(1 + next(drawn) % 9) if each.isdigit() else each for each in text[start:end])
        return text[:start] + made + text[end:]

    def _bytes(self, text: str) -> Iterator[int]:
        """Numbers below 256 that depend on the key and on the value alone."""
        given = self._key + text.encode("utf-8", "surrogatepass")
        yield from shake_256(given).digest(4 * len(text) + 16)


def _character(character: str, drawn: int) -> str:
    if character.isascii() and not character.isalnum():
        return character
    if character.isascii() and character.isdigit():
        return str(1 + drawn % 9)
    letter = LETTERS[drawn % len(LETTERS)]
    return letter.upper() if character.isupper() else letter
