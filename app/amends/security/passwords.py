"""Passwords are shown nowhere: not in a log, not in a traceback, and not in messages about a database.

Known ones are hidden in every form in which a library may write them; besides, everything that looks like one is
hidden.
"""

from __future__ import annotations

import json
import re
import sys
from typing import IO, Any, Final, cast
from urllib.parse import parse_qsl, quote, quote_plus, unquote, unquote_plus

SHOWN: Final = frozenset(
    (
        *("host", "hostaddr", "port", "dbname", "user", "application_name", "client_encoding", "connect_timeout"),
        *("sslmode", "sslrootcert", "channel_binding", "gssencmode", "target_session_attrs", "keepalives"),
    )
)
"""Parameters of a database's URL that may be shown; the others may hold a secret."""
SHORTEST: Final = 4
"""A shorter password is hidden where it stands as one, but not wherever its letters do."""

_URL: Final = re.compile(r"(postgres(?:ql)?(?:\+\w+)?://)([^\s:/@?]*)(\S*)", re.IGNORECASE)
_PARAMETER: Final = re.compile(r"([?&])([^\s=&?]+)=[^\s&]*")
_SECRET: Final = r"(?:ssl)?password|passfile|oauth_client_secret|scram_client_key|scram_server_key"
_PAIR: Final = re.compile(
    rf"""(\b(?:{_SECRET})['"]?\s*[=:]\s*)('(?:[^'\\]|\\.|'')*'|"(?:[^"\\]|\\.)*"|[^\s&]+)""", re.IGNORECASE
)
_SETTING: Final = re.compile(r"([\w.]*(?:pass|secret|token|key)[\w.]*)\s*=\s*((?:\\.|\S)+)", re.IGNORECASE)
_known: set[str] = set()


def hide_url_secrets(url: str) -> None:
    """Hide the secrets of this URL from now on, wherever they appear; it need not be one that can be parsed."""
    _, _, rest = url.partition("://")
    user, _, password = rest.rpartition("@")[0].partition(":")
    secrets, plain = {password}, {user}
    for key, value in parse_qsl(rest.partition("?")[2], keep_blank_values=True):
        if key == "options":
            secrets.update(found[2] for found in _SETTING.finditer(value))
        elif re.fullmatch(_SECRET, key, re.IGNORECASE) and key != "passfile":
            secrets.add(value)
    if not password:  # what stands before a host is its password, however the rest is written
        secrets.update(found[2].strip("'\"") for found in _PAIR.finditer(url))
    hide_secrets(secrets - plain)


def hide_secrets(secrets: set[str]) -> None:
    """Hide these from now on, in every form in which they may be written."""
    for secret in secrets:
        for plain in {secret, unquote(secret), unquote_plus(secret)}:
            forms = {secret, plain, repr(plain)[1:-1], json.dumps(plain)[1:-1], plain.replace("'", r"\'")}
            if not any("\ud800" <= letter <= "\udfff" for letter in plain):
                forms |= {quote(plain, safe=safe) for safe in ("", "/", " +")} | {quote_plus(plain)}
            _known.update(form for form in forms if len(form) >= SHORTEST)


def without_secrets(text: str) -> str:
    """A text without the passwords in it."""
    for secret in sorted(_known, key=len, reverse=True):
        if secret in text:
            text = re.sub(rf"(?<!\w){re.escape(secret)}(?!\w)", "***", text)
    return _PAIR.sub(r"\1***", _URL.sub(_url, text))


def _url(found: re.Match[str]) -> str:
    """A URL without its password, wherever that stands."""
    scheme, user, rest = found.groups()
    before, mark, query = rest.partition("?")
    if "@" in query and rest.startswith(":"):  # either of them may be in the password
        return f"{scheme}{user}:***"
    if rest.startswith(":") and "@" in before:
        before = ":***@" + before.rpartition("@")[2]
    return scheme + user + before + _PARAMETER.sub(_parameter, mark + query)


def _parameter(found: re.Match[str]) -> str:
    return found[0] if unquote_plus(found[2]) in SHOWN else f"{found[1]}{found[2]}=***"


class PasswordHidingStream:
    """A stream on which no password is written, by whatever library or traceback."""

    def __init__(self, stream: IO[str]) -> None:
        self.inner = stream

    def write(self, text: str) -> int:
        self.inner.write(without_secrets(text))
        return len(text)

    def writelines(self, lines: list[str]) -> None:
        self.write("".join(lines))

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)


def hide_passwords_in_streams(*streams: str) -> None:
    """Hide passwords in all that is written to these streams of `sys`, Python's own tracebacks included."""
    for name in streams:
        stream = getattr(sys, name)
        if not isinstance(stream, PasswordHidingStream):
            setattr(sys, name, cast("IO[str]", PasswordHidingStream(stream)))
