"""Passwords are shown nowhere: not in a log, and not in what is said of a database that does not answer."""

from __future__ import annotations

import re
from typing import Final

_IN_USER: Final = re.compile(r"(postgres(?:ql)?(?:\+\w+)?://[^\s:/@?]*):\S*@", re.IGNORECASE)
_IN_QUERY: Final = re.compile(r"\b((?:ssl)?password=)[^\s&]+", re.IGNORECASE)


def hidden(text: str) -> str:
    """A text without the passwords of the database URLs in it, whether they stand before the host or in the query."""
    return _IN_QUERY.sub(r"\1***", _IN_USER.sub(r"\1:***@", text))
