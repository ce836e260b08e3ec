"""Tokens of callers and their roles: viewers read, starters start and signal, operators decide."""

from __future__ import annotations

import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final

OWN: Final = "amends"
"""The name of the service's own token, with which it calls itself."""
RESERVED: Final = (OWN, "anonymous")
"""Names that mean something else where an actor is shown."""

_SENT = re.compile(r"[\x21-\x7e]{1,512}")
"""Text that can be sent in a header, without spaces."""
_NAME = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]{0,98}[\x21-\x7e])?")


class Role(IntEnum):
    """Roles of callers; each may also do what the lower ones may."""

    viewer = 1
    starter = 2
    operator = 3


@dataclass(frozen=True)
class Caller:
    """The caller that a token belongs to."""

    name: str
    role: Role


@dataclass(frozen=True)
class Token:
    """A token and its caller."""

    caller: Caller
    secret: str = field(repr=False)


def parse_tokens(text: str) -> dict[str, Token]:
    """`name:token[:viewer|starter|operator],…` by name. Raises ValueError with what is wrong, and never a token."""
    found: dict[str, Token] = {}
    for number, entry in enumerate((part.strip() for part in text.split(",")), start=1):
        if not entry:
            continue
        name, *rest = (part.strip() for part in entry.split(":"))
        if not name or not rest or not rest[0]:
            raise ValueError(f"must be name:token[:role], separated by commas; entry {number} is not")
        if len(rest) > 2 or (len(rest) == 2 and rest[1] not in Role.__members__):
            raise ValueError(f"the token of {name!r} is followed by no role; there are: {', '.join(Role.__members__)}")
        _require_name(name, found)
        if not _SENT.fullmatch(rest[0]):
            raise ValueError(f"the token of {name!r} cannot be sent in a header: use 1 to 512 printable ASCII letters")
        if twin := next((each for each, token in found.items() if token.secret == rest[0]), None):
            raise ValueError(f"{twin!r} and {name!r} have the same token: nobody could tell them apart")
        found[name] = Token(Caller(name, Role[rest[1]] if len(rest) == 2 else Role.operator), rest[0])
    return found


def _require_name(name: str, found: Mapping[str, Token]) -> None:
    if not _NAME.fullmatch(name):
        raise ValueError(f"the name {name!r} is not 1 to 100 printable ASCII characters")
    if name.lower() in RESERVED:
        raise ValueError(f"the name {name!r} is one of Amends' own: choose another")
    if name.lower() in {each.lower() for each in found}:
        raise ValueError(f"the name {name!r} stands there twice")


def caller_of(tokens: Mapping[str, Token], given: str) -> Caller | None:
    """The caller of a token, None if it is unknown. It takes the same time for each."""
    sent = given.encode()
    known = [token for token in tokens.values() if hmac.compare_digest(token.secret.encode(), sent)]
    return known[0].caller if known else None
