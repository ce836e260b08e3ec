"""Marks for values about people and for secrets: Annotated[str, PERSONAL], Annotated[str, SECRET]."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, get_args

MASK: Final = "***"
"""What is shown in place of a marked value."""


@dataclass(frozen=True)
class Sensitive:
    """Why a field is not shown in lists, errors and logs."""

    kind: str


PERSONAL: Final = Sensitive("personal")
SECRET: Final = Sensitive("secret")


def mark(annotation: object) -> Sensitive | None:
    """The mark on an annotation itself, None if it has none."""
    return next((part for part in get_args(annotation)[1:] if isinstance(part, Sensitive)), None)
