"""Identifiers: ordered by time where they are made fresh, derived where a replay must make the same one."""

from __future__ import annotations

import random
import time
from uuid import UUID, uuid5

_NAMESPACE = UUID("6d3c1f0e-5b0a-5e52-9a3e-2a64a1c0f9b7")
_dice = random.Random()  # seeded by the system; ids need to be different, not secret


def new_id() -> UUID:
    """A version 7 UUID (RFC 9562): ids made later sort later, which keeps indexes compact."""
    stamp = time.time_ns() // 1_000_000
    value = (stamp & (2**48 - 1)) << 80 | _dice.getrandbits(80)
    value = value & ~(0xF << 76) | 0x7 << 76
    return UUID(int=value & ~(0x3 << 62) | 0x2 << 62)


def derived_id(*parts: object) -> UUID:
    """The same UUID for the same parts, always."""
    return uuid5(_NAMESPACE, "\x1f".join(map(str, parts)))
