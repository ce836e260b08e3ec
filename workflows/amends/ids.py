"""Identifiers: ordered by time where they are made fresh, derived where a replay must make the same one."""

from __future__ import annotations

import random
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final
from uuid import UUID, uuid5

from domain.amends.errors import Invalid

RESERVED: Final = frozenset(("definitions", "bulk", "causes"))
"""What stands below /workflows beside the names of sagas and the ids of workflows."""

_GIVEN: Final = re.compile(r"[A-Za-z0-9._:-]{1,128}")
_NAMESPACE = UUID("6d3c1f0e-5b0a-5e52-9a3e-2a64a1c0f9b7")
_dice: random.Random = random.SystemRandom()  # without a state, which would be another one in each process


def new_id() -> UUID:
    """A version 7 UUID (RFC 9562): ids made later sort later, which keeps indexes compact."""
    stamp = time.time_ns() // 1_000_000
    value = (stamp & (2**48 - 1)) << 80 | _dice.getrandbits(80)
    value = value & ~(0xF << 76) | 0x7 << 76
    return UUID(int=value & ~(0x3 << 62) | 0x2 << 62)


def new_token() -> str:
    """A word that nobody else has, and nobody can guess: a version 4 UUID."""
    return str(UUID(int=_dice.getrandbits(128), version=4))


@contextmanager
def seeded_ids(dice: random.Random) -> Iterator[None]:
    """Meanwhile ids and tokens are drawn from these dice: the same from the same seed, as a simulation wants them."""
    global _dice
    before, _dice = _dice, dice
    try:
        yield
    finally:
        _dice = before


def require_id(id: str, field: str) -> None:
    """Refuse an id that somebody gave and that is none. Raises Invalid with the name of the field."""
    if not _GIVEN.fullmatch(id):
        raise Invalid(field, "must be 1 to 128 letters, digits or . _ : -")


def require_workflow_id(id: str, field: str) -> None:
    """Refuse an id under which a workflow could not be reached afterwards. Raises Invalid with the field's name."""
    require_id(id, field)
    if id in RESERVED or id in (".", ".."):
        raise Invalid(field, f"cannot be {id}: /workflows/{id} is another page. Use another one")


def derived_id(*parts: object) -> UUID:
    """The same UUID for the same parts, always."""
    return uuid5(_NAMESPACE, "\x1f".join(map(str, parts)))


def name_and_version(saga_type: str) -> tuple[str, int]:
    """The name and the version of a saga's type, such as `place-order:2`."""
    name, _, version = saga_type.rpartition(":")
    return name, int(version)
