"""The signals by which a child tells its parent how it ended; the database sends them under the same names."""

from __future__ import annotations

from typing import Final

ENDED: Final = "child "
UNDONE: Final = "undone "


def ended(child: str) -> str:
    """The signal by which a child tells how it ended."""
    return f"{ENDED}{child}"


def undone(child: str) -> str:
    """The signal by which a child tells that it was compensated after it had been completed."""
    return f"{UNDONE}{child}"
