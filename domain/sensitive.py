"""Marks for values about people and for secrets: Annotated[str, PERSONAL], Annotated[str, SECRET]."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Sensitive:
    """Why a field is not shown in lists, errors and logs."""

    kind: str


PERSONAL = Sensitive("personal")
SECRET = Sensitive("secret")
