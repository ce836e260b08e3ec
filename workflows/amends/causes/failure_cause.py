"""The cause of a suspension or a compensation: what it has in common with others, and the id of that."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from typing import Final, Literal

from workflows.amends.causes.normalised_error import PROVIDER_DOWN, normalised, normalised_problem, problem_type
from workflows.amends.history import Problem, SagaIncompatible, SagaStuck, SagaTerminated, Status
from workflows.amends.ids import name_and_version

CauseKind = Literal["stuck", "stranded", "abandoned", "provider", "brake", "compensating", "read-model"]
"""What became of those that have the cause: they are stuck, stranded or abandoned, wait for a provider or at a brake,
are or were compensated; keys of a read model are set aside."""

SUSPENDED_KINDS: Final = ("stuck", "stranded", "abandoned")
"""The kinds that are statuses of a saga that waits for an operator."""
MOST_CAUSES: Final = 100
"""So many causes of one step of one version are told apart; any further error is one of the `OTHER_ERRORS`."""
OTHER_ERRORS: Final = "other errors"


@dataclass(frozen=True)
class FailureCause:
    """What sagas with this cause have in common; `name` and `version` are those of the saga, or of a read model."""

    kind: CauseKind
    name: str
    version: int
    step: str | None = None
    provider: str | None = None
    error: str | None = None

    @cached_property
    def id(self) -> str:
        """A digest of all of it; the database has the same one (migrations/amends/functions/cause_id.sql)."""
        parts = (self.kind, self.name, str(self.version), self.step or "", self.provider or "", self.error or "")
        return f"c-{sha256(chr(31).join(parts).encode()).hexdigest()[:12]}"


def suspension_cause(saga_type: str, told: SagaStuck | SagaIncompatible | SagaTerminated) -> FailureCause:
    """The cause of a suspension that an operator has to end, by the event that tells of it."""
    name, version = name_and_version(saga_type)
    if isinstance(told, SagaIncompatible):
        return FailureCause("stranded", name, version, None, None, normalised(told.reason))
    if isinstance(told, SagaTerminated):
        return FailureCause("abandoned", name, version, None, None, normalised(told.reason))
    step, error = told.compensation or told.step, told.error
    provider = error.facts.get("provider") if error and error.name == PROVIDER_DOWN else None
    said = normalised_problem(error) if error else normalised(told.reason)
    return FailureCause("stuck", name, version, step, provider if isinstance(provider, str) else None, said)


def waiting_cause(saga_type: str, step: str, provider: str) -> FailureCause:
    """The cause of a wait of a step, or of a compensation, for a provider that is down."""
    return FailureCause("provider", *name_and_version(saga_type), step, provider)


def braked_cause(saga_type: str, step: str, brake: str) -> FailureCause:
    """The cause of a wait of a step, or of a compensation, at a brake."""
    return FailureCause("brake", *name_and_version(saga_type), step, None, brake)


def compensation_cause(saga_type: str, problem: Problem) -> FailureCause:
    """The cause of a compensation: the type of what went wrong, for its text may hold personal values."""
    return FailureCause("compensating", *name_and_version(saga_type), None, None, problem_type(problem))


def default_cause(name: str, version: int, status: Status, provider: str | None) -> FailureCause | None:
    """The cause of a saga whose server does not tell one: how it stands, or for whom it waits, and nothing else."""
    if status in ("stuck", "stranded", "abandoned"):
        return FailureCause(status, name, version)
    return FailureCause("provider", name, version, None, provider) if provider else None


def held_start_cause(name: str, version: int, brake: str) -> FailureCause:
    """The cause of a saga that a brake held when it was started, or before it had begun."""
    return FailureCause("brake", name, version, None, None, brake)
