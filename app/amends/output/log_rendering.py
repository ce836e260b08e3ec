"""How a line of the log looks: for files and other programs, on a terminal, and as JSON."""

from __future__ import annotations

import json
import sys
import traceback
from collections.abc import Iterator, Mapping
from typing import Any, Final

from app.amends.output.log_fields import Fields, reader_fields
from app.amends.security.passwords import without_secrets
from workflows.amends.values.printable import escaped

COLOURS: Final = {"DEBUG": "\x1b[2m", "WARNING": "\x1b[33m", "ERROR": "\x1b[31m", "CRITICAL": "\x1b[1;31m"}
DIM: Final = "\x1b[2m"
PLAIN: Final = "\x1b[0m"


def plain_line(_: Any, __: str, fields: Fields) -> str:
    """The whole line, for a file: `2026-01-31T12:00:00.000Z WARNING amends.saga: text [step=charge_card]`."""
    head = f"{fields['timestamp']} {fields['level']} {fields['logger']}: {fields['event']}"
    return "\n".join([escaped(head + _bracketed(fields)), *_below(fields)])


def terminal_line(_: Any, __: str, fields: Fields) -> str:
    """A short and aligned line in colour: the time of day, the level, the text, the fields."""
    level = fields["level"]
    head = f"{DIM}{fields['timestamp'][11:19]}Z{PLAIN} {COLOURS.get(level, DIM)}{level.lower():<8}{PLAIN}"
    told = escaped(_bracketed(fields))
    text = escaped(str(fields["event"])) + (told and f"{DIM}{told}{PLAIN}")
    return "\n".join([f"{head} {text}", *_below(fields)])


def json_line(_: Any, __: str, fields: Fields) -> str:
    """One object of JSON in ASCII, with the text as `message`, and a traceback as `exception`."""
    line = {name: fields[name] for name in ("timestamp", "level", "logger")} | {"message": str(fields["event"])}
    line |= {name if name not in line else f"{name}_": value for name, value in reader_fields(fields).items()}
    if raised := _traceback(fields.get("exc_info")):
        line["exception"] = without_secrets(raised)
    for name, given in (("stack", "stack_info"), ("below", "below")):
        if fields.get(given):
            line[name] = without_secrets(str(fields[given]))
    return json.dumps(line, default=str)


def indented_lines(text: str) -> str:
    """Lines below one of the log: none of them can be taken for one, or steers a terminal."""
    return "\n".join(f"    {escaped(line.expandtabs())}" for line in without_secrets(text).split("\n"))


def _bracketed(fields: Mapping[str, Any]) -> str:
    """The fields that the text does not name already."""
    said = str(fields["event"])
    new = [f"{name}={value}" for name, value in reader_fields(fields).items() if str(value) not in said]
    return f" [{' '.join(new)}]" if new else ""


def _below(fields: Mapping[str, Any]) -> Iterator[str]:
    if fields.get("below"):
        yield indented_lines(str(fields["below"]))
    if raised := _traceback(fields.get("exc_info")):
        yield indented_lines(raised)
    if fields.get("stack_info"):
        yield indented_lines(str(fields["stack_info"]))


def _traceback(error: Any) -> str:
    """A traceback, whose errors may say anything; empty if there is no error."""
    if error is True:
        error = sys.exc_info()
    found = error[1] if isinstance(error, tuple) else error
    return "".join(traceback.format_exception(found)).removesuffix("\n") if isinstance(found, BaseException) else ""
