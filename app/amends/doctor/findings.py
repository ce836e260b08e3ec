"""What the doctor finds, and the means by which it looks at a database."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from app.amends.postgres.migrate import Migrations
from app.amends.postgres.statements.reader import Reader
from workflows.amends.projections.builds import ProjectionBuilds

Status = Literal["ok", "warn", "fail"]


@dataclass(frozen=True)
class Finding:
    """The finding of a check; `well` is False where an operator should look.

    It is a failure then, unless it is only to be known of; `fix` is what to do about it.
    """

    what: str
    well: bool
    found: str
    fix: str = ""
    failure: bool = True

    @property
    def status(self) -> Status:
        """In one word."""
        return "ok" if self.well else "fail" if self.failure else "warn"

    def as_json(self) -> dict[str, Any]:
        """The finding as data."""
        return {
            "what": self.what,
            "status": self.status,
            "well": self.well,
            "found": self.found,
            "fix": "" if self.well else self.fix,
        }

    def __str__(self) -> str:
        fix = f"  → {self.fix}" if self.fix and not self.well else ""
        return f"{self.status:<4}  {self.what}: {self.found}{fix}"


@dataclass(frozen=True)
class Check:
    """A check, and the tables that it reads."""

    what: str
    look: Callable[[CheckContext], Awaitable[list[Finding]]]
    tables: tuple[str, ...] = ()


@dataclass(frozen=True)
class CheckContext:
    """The means of a check. `login` is its database user, and `readable` the tables, and whether they may be read."""

    reader: Reader
    builds: ProjectionBuilds
    login: str
    readable: Mapping[str, bool]
    migrations: Migrations
