"""Lines of the log: whose they are, in three forms."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from app.amends.output.log_fields import send_structlog_to_logging
from app.amends.output.log_lines import LogLineFormatter
from app.amends.output.log_rendering import json_line, terminal_line
from workflows.amends.engine.user_code.tasks import CodeScope, scope


class Kept(logging.Handler):
    """What is logged, with the fields that are known where it is."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: dict[str, list[str]] = {"plain": [], "terminal": [], "json": []}
        self._forms = {
            "plain": LogLineFormatter(),
            "terminal": LogLineFormatter(terminal_line),
            "json": LogLineFormatter(json_line),
        }

    def emit(self, record: logging.LogRecord) -> None:
        for name, formatter in self._forms.items():
            self.lines[name].append(formatter.format(record))

    @property
    def said(self) -> dict[str, object]:
        """The last line, as JSON."""
        read: dict[str, object] = json.loads(self.lines["json"][-1])
        return read


@pytest.fixture
def kept() -> Iterator[Kept]:
    handler, log = Kept(), logging.getLogger("shop")
    log.addHandler(handler)
    log.setLevel("INFO")
    send_structlog_to_logging()
    with structlog.contextvars.bound_contextvars(saga="o-1", saga_type="place-order:1", correlation="c-1"):
        yield handler
    log.removeHandler(handler)
    structlog.reset_defaults()


def test_a_line_says_whose_it_is_where_the_text_does_not(kept: Kept) -> None:
    logging.getLogger("shop").warning("Order %s is late", "o-1", extra={"hours": 3})
    plain = kept.lines["plain"][0]
    assert plain.endswith("Z WARNING shop: Order o-1 is late [hours=3 saga_type=place-order:1 correlation=c-1]")
    assert kept.said | {"timestamp": ""} == {
        **{"timestamp": "", "level": "WARNING", "logger": "shop", "message": "Order o-1 is late", "hours": 3},
        **{"saga": "o-1", "saga_type": "place-order:1", "correlation": "c-1"},
    }


def test_code_of_a_step_is_named_with_its_step(kept: Kept) -> None:
    token = scope.set(CodeScope("o-2", "place-order:1", "charge_card", lambda _: None, b""))
    logging.getLogger("shop").info("called")
    scope.reset(token)
    assert kept.lines["plain"][0].endswith("[saga=o-1 saga_type=place-order:1 step=charge_card correlation=c-1]")


def test_loggers_of_structlog_write_the_same_log(kept: Kept) -> None:
    try:
        raise ValueError("no\nreceipt")
    except ValueError:
        structlog.get_logger("shop").exception("charged", amount=750, password="geheim")
    first, *below = kept.lines["plain"][0].split("\n")
    assert first.endswith(
        "Z ERROR shop: charged [amount=750 password=*** saga=o-1 saga_type=place-order:1 correlation=c-1]"
    )
    assert below[0] == "    Traceback (most recent call last):"
    assert all(line.startswith("    ") for line in below)
    assert kept.said["amount"] == 750
    assert str(kept.said["exception"]).endswith("ValueError: no\nreceipt")


class Unreadable:
    """A value whose own text cannot be had."""

    def __repr__(self) -> str:
        raise RuntimeError


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("a\nERROR forged", "a\\nERROR forged"),
        ("\x1b[31m\0\x7f", "\\x1b[31m\\x00\\x7f"),
        ("\ud800", "\\ud800"),
        ("\u2028\u202e", "\\u2028\\u202e"),
        (float("nan"), "nan"),
        (float("-inf"), "-inf"),
        (10**400, str(10**400)),
        (b"\xff", repr(repr(b"\xff"))[1:-1].replace("\\\\", "\\")),
        (Unreadable(), "Unreadable, whose own text cannot be read: RuntimeError"),
    ],
)
def test_odd_values_are_one_line_and_json_that_any_reader_takes(kept: Kept, value: object, shown: str) -> None:
    def refused(constant: str) -> None:
        raise AssertionError(constant)

    logging.getLogger("shop").warning("said", extra={"odd": value})
    assert f"[odd={shown} saga=o-1" in kept.lines["plain"][0]
    (line,) = kept.lines["json"][0].splitlines()
    assert line.isascii()
    told = json.loads(line, parse_constant=refused)["odd"]
    assert told == value or str(told) == shown


def test_a_terminal_is_shown_short_aligned_lines_in_colour(kept: Kept) -> None:
    for level in ("INFO", "WARNING"):
        logging.getLogger("shop").log(logging.getLevelName(level), "said")
    bare = [without_colours(line) for line in kept.lines["terminal"]]
    assert bare[0][8:] == "Z info     said [saga=o-1 saga_type=place-order:1 correlation=c-1]"
    assert bare[1][8:] == "Z warning  said [saga=o-1 saga_type=place-order:1 correlation=c-1]"
    assert "\x1b[33mwarning" in kept.lines["terminal"][1]


def without_colours(line: str) -> str:
    """A line without colours."""
    for colour in ("\x1b[2m", "\x1b[0m", "\x1b[33m"):
        line = line.replace(colour, "")
    return line
