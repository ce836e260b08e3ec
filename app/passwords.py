"""Passwords are shown nowhere: not in a log, and not in what is said of a database that does not answer."""

from __future__ import annotations

import logging
import re
from typing import Final

_IN_USER: Final = re.compile(r"(postgres(?:ql)?(?:\+\w+)?://[^\s:/@?]*):\S*@", re.IGNORECASE)
_IN_QUERY: Final = re.compile(r"\b((?:ssl)?password=)[^\s&]+", re.IGNORECASE)


def hidden(text: str) -> str:
    """A text without the passwords of the database URLs in it, whether they stand before the host or in the query."""
    return _IN_QUERY.sub(r"\1***", _IN_USER.sub(r"\1:***@", text))


class Hiding(logging.Formatter):
    """Formats as it is told, tracebacks included, and hides passwords."""

    def format(self, record: logging.LogRecord) -> str:
        return hidden(super().format(record))


def hide(record: logging.LogRecord) -> bool:
    """A filter for a logger that others give handlers to."""
    record.msg, record.args = hidden(record.getMessage()), ()
    return True
