"""A brake, and what it holds: sagas of a type, a version, one of their steps, or calls to a provider."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal, TypeAlias

from domain.amends.errors import Invalid

WhenStarted: TypeAlias = Literal["queue", "refuse"]
"""What becomes of sagas of the scope that are started: they are queued, or refused with 503."""

FIELDS: Final = ("name", "version", "step", "provider")
"""What a scope may name."""


@dataclass(frozen=True)
class BrakePoint:
    """Where a saga is about to begin something: a step, or a `compensation` of one; `provider` is who would be called.

    `provider` is None before the code of a step runs: then nobody knows whom it will call.
    """

    name: str
    version: int
    step: str
    compensation: str | None = None
    provider: str | None = None


@dataclass(frozen=True)
class BrakeScope:
    """What a brake holds: all that meets each of the fields that are given; one at least is."""

    name: str | None = None
    version: int | None = None
    step: str | None = None
    provider: str | None = None

    @property
    def holds_starts(self) -> bool:
        """Whether whole sagas are held, and so their starts; not where only a step or a provider is."""
        return self.step is None and self.provider is None

    def matches(self, point: BrakePoint) -> bool:
        """Whether what is about to begin there is in the scope; a step is named by its own name or its compensation's.

        A scope that names a provider matches no point without one.
        """
        return (
            self.name in (None, point.name)
            and self.version in (None, point.version)
            and (self.step is None or self.step in (point.step, point.compensation))
            and self.provider in (None, point.provider)
        )

    def __str__(self) -> str:
        return ", ".join(f"{field} {value}" for field in FIELDS if (value := getattr(self, field)) is not None)


@dataclass(frozen=True)
class Brake:
    """A brake in force: who has set it, why, and since when. `compensations` says that those are held too."""

    id: str
    scope: BrakeScope
    starts: WhenStarted
    compensations: bool
    reason: str
    actor: str
    set_at: datetime

    def holds(self, point: BrakePoint) -> bool:
        """Whether it holds what is about to begin there."""
        return (self.compensations or point.compensation is None) and self.scope.matches(point)


def require_sound_brake(scope: BrakeScope, starts: WhenStarted) -> None:
    """Raise Invalid for a scope that names nothing, and for starts that are to be refused where none are held."""
    if scope == BrakeScope():
        raise Invalid("scope", f"names nothing: give at least one of {', '.join(FIELDS)}")
    if starts == "refuse" and not scope.holds_starts:
        problem = (
            'can be "refuse" only for a scope without step and provider: whom a saga will call is not known when it '
            'is started; use "queue", and it waits where it comes to the brake'
        )
        raise Invalid("starts", problem)
