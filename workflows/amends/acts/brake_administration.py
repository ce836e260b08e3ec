"""Setting and lifting brakes: each is one commit with its event and the answer to its request."""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime
from typing import Any

from domain.amends.errors import Invalid, NotFound
from domain.amends.event import Cause
from workflows.amends.brakes.brake import Brake, BrakeScope, WhenStarted, require_sound_brake
from workflows.amends.brakes.events import BrakeLifted, BrakeSet, brake_stream
from workflows.amends.call import LONGEST_NAME, storable_provider_name
from workflows.amends.definition import Definition
from workflows.amends.ids import new_token
from workflows.amends.ports.brakes import BrakeStore
from workflows.amends.ports.event_store import (
    IdempotencyKey,
    RepeatedRequest,
    StoredAnswer,
    new_amends_event,
    repeated_answer,
)


class BrakeAdministration:
    """What operators do with brakes, in one process that has the code of some sagas."""

    def __init__(self, store: BrakeStore, definitions: Collection[Definition]) -> None:
        self._store, self._definitions = store, definitions

    async def set(
        self,
        scope: BrakeScope,
        starts: WhenStarted,
        compensations: bool,
        reason: str,
        cause: Cause,
        once: IdempotencyKey | None = None,
    ) -> dict[str, Any]:
        """Set a brake; returns the answer, the same again for a repeated request.

        Raises Invalid for a scope that names nothing, or something that is not known, and Conflict for a key that was
        used for another request.
        """
        require_sound_brake(scope, starts)
        await self._require_known(scope)
        id = f"b-{new_token().replace('-', '')[:12]}"
        brake = Brake(id, scope, starts, compensations, reason, cause.actor or "unknown", datetime.now(UTC))
        told = BrakeSet(id, scope, starts, compensations, reason)
        body = {"id": id, "scope": _given(scope), "starts": starts, "compensations": compensations, "reason": reason}
        answer = StoredAnswer(once.key, once.digest, body) if once else None
        found = await self._store.set_brake(brake, new_amends_event(brake_stream(id), told, cause), answer)
        if isinstance(found, RepeatedRequest):
            assert once is not None
            return repeated_answer(once.key, once.digest, found)
        return body | {"position": str(found)}

    async def lift(self, id: str, reason: str, cause: Cause) -> None:
        """Lift a brake: what waits at it goes on. Raises NotFound for one that is not in force."""
        told = new_amends_event(brake_stream(id), BrakeLifted(id, reason), cause)
        if not await self._store.lift_brake(id, cause.actor or "unknown", reason, told):
            before = await self._store.lift_of(id)
            how = (
                f"{before.by} lifted it at {before.at.isoformat(timespec='seconds')}: {before.reason}" if before else ""
            )
            raise NotFound("brake", id, f"It is not in force any more: {how}.")

    async def _require_known(self, scope: BrakeScope) -> None:
        here = [
            each
            for each in self._definitions
            if scope.name in (None, each.name) and scope.version in (None, each.version)
        ]
        whole = (scope.name, scope.version) != (None, None)
        if whole and not here and not await self._store.knows_sagas(scope.name, scope.version):
            field = "scope.version" if any(each.name == scope.name for each in self._definitions) else "scope.name"
            known = ", ".join(sorted({each.saga_type for each in self._definitions}))
            raise Invalid(field, f"no saga is called so, here or in the database; there are: {known}")
        if scope.step is not None and here and not any(scope.step in _names(each) for each in here):
            known = ", ".join(sorted({name for each in here for name in _names(each)}))
            raise Invalid("scope.step", f"no step or compensation is called so; there are: {known}")
        if scope.provider is not None and storable_provider_name(scope.provider) != scope.provider:
            raise Invalid(
                "scope.provider", f"must have 1 to {LONGEST_NAME} printable characters, as its gateway names it"
            )


def _names(definition: Definition) -> set[str]:
    """The names of a saga's steps and of their compensations."""
    steps = [each.step for each in definition.steps.values()]
    return {each.name for each in steps} | {each.compensation.name for each in steps if each.compensation}


def _given(scope: BrakeScope) -> dict[str, Any]:
    return {field: value for field, value in vars(scope).items() if value is not None}
