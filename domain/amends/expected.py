"""What a stream must look like for an append to be right: optimistic concurrency as a value."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from domain.amends.errors import Invalid

LARGEST: Final = 2**31 - 1
"""No stream has a higher version."""


@dataclass(frozen=True)
class Expected:
    """The version that a stream must have: 0 before its first event, None for any. Raises Invalid for what is none."""

    version: int | None

    def __post_init__(self) -> None:
        if self.version is not None and (type(self.version) is not int or not 0 <= self.version <= LARGEST):
            raise Invalid("expected version", f"must be a whole number from 0 to {LARGEST}, but is {self.version!r}")


ANY: Final = Expected(None)
"""Whatever the stream holds; for events that do not depend on others."""

NONE: Final = Expected(0)
"""The stream must not exist yet."""


def exact(version: int) -> Expected:
    """The stream must be at this version: nobody has written to it since it was read."""
    return Expected(version)
