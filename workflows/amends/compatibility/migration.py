"""Moves sagas that are under way to another version of their code, where what is recorded of them fits it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, Protocol

from domain.amends.errors import Conflict, Invalid, NotFound, StaleVersion
from domain.amends.event import Cause
from workflows.amends.compatibility.replay_log import CodeAtHand
from workflows.amends.compatibility.replaying import replay
from workflows.amends.history import SagaMigrated, saga_histories
from workflows.amends.ports.event_store import RepeatedRequest, StoredAnswer, new_amends_event, repeated_answer
from workflows.amends.ports.recordings import Recording
from workflows.amends.ports.saga_store import Sagas, Unmoved, VersionMove
from workflows.amends.saga import Saga

CANNOT: Final[Mapping[str, str]] = {
    "stuck": "is stuck: an operator has to decide about that first",
    "compensating": "is being compensated, which its own version ends",
    "executing": "is being run at this moment: try again when it waits",
    "unsettled": "is in the middle of a step, or was left there: its own version has to end that",
}
"""Why a saga stays with its version, as far as its status says."""


class RecordingsById(Protocol):
    """Where the recordings of single sagas are read from."""

    async def of(self, ids: Sequence[str]) -> Sequence[Recording]:
        """The recordings of those of these sagas that are not finished, in the order of their ids."""
        ...

    async def other_versions(self, name: str, version: int, after: str) -> Sequence[str]:
        """The next ids after this one of sagas of a name that are not finished and are of other versions than this."""
        ...


class Migrations:
    """Moves sagas to versions that there is code for here: each whole, in one transaction, or not at all."""

    def __init__(
        self,
        store: Sagas,
        recordings: RecordingsById,
        sagas: Mapping[tuple[str, int], Saga[Any, Any]],
        code: CodeAtHand,
    ) -> None:
        self._store, self._recordings, self._sagas, self._code = store, recordings, sagas, code

    def require_version(self, name: str, version: int) -> Saga[Any, Any]:
        """The code of a version. Raises NotFound for the saga, and Invalid for the version, with those there are."""
        known = sorted(number for each, number in self._sagas if each == name)
        if not known:
            names = ", ".join(sorted({each for each, _ in self._sagas}))
            raise NotFound("workflow", name, f"There are: {names}.")
        if version not in known:
            versions = ", ".join(map(str, known))
            raise Invalid("version", f"{name} has no version {version} here; there are: {versions}")
        return self._sagas[name, version]

    async def others(self, name: str, version: int, after: str) -> Sequence[str]:
        """The next ids after this one of sagas of a name that could be moved to a version, or not."""
        return await self._recordings.other_versions(name, version, after)

    async def require_movable(self, id: str, version: int) -> VersionMove:
        """The move of a saga that may be made as things are. Raises NotFound, Invalid, and Conflict that says why not.

        Whether it fits is found out as `workflows check` does it: by a replay that has no effects.
        """
        found = await self._recordings.of([id])
        if not found:
            standing = await self._store.status_details(id)
            if standing is None:
                raise NotFound("workflow", id)
            raise _kept(id, f"is {standing.status}: it needs no other version")
        recording = found[0]
        saga = self.require_version(recording.name, version)
        if recording.version == version:
            raise _kept(id, f"is of version {version} already")
        if why := CANNOT.get(recording.status):
            raise _kept(id, why)
        recorded = recording.replay
        if recording.status != "waiting" and (recorded.recovered or recorded.provider is not None):
            raise _kept(id, CANNOT["unsettled"])
        if recording.unreadable is not None:
            raise _kept(id, f"cannot be read here: {recording.unreadable}")
        verdict = (await replay(recording, saga, self._code)).verdict
        if verdict.outcome != "fits":
            raise _kept(id, f"does not fit version {version}: {verdict.reason}")
        return VersionMove(id, recording.version, version, recording.replay.version)

    async def migrate(
        self, id: str, version: int, reason: str, cause: Cause, answer: StoredAnswer | None = None
    ) -> dict[str, Any]:
        """Move a saga; returns the answer, also for a repeated request. Raises as `require_movable` does.

        One whose history has gone on while it was judged is judged again.
        """
        while True:
            move = await self.require_movable(id, version)
            told = SagaMigrated(move.from_version, version, reason)
            event = new_amends_event(saga_histories.stream(id), told, cause)
            try:
                found = await self._store.migrate(move, event, answer)
            except StaleVersion:
                continue
            if isinstance(found, str):
                raise _kept(id, _why(found))
            if isinstance(found, RepeatedRequest):
                assert answer is not None
                return repeated_answer(answer.key, answer.digest, found)
            return {"id": id, "act": "migrate", "version": version, "position": str(found)}


def _why(found: Unmoved) -> str:
    return CANNOT.get(found, f"is {found}: it needs no other version")


def _kept(id: str, why: str) -> Conflict:
    return Conflict("version", f"Workflow {id} {why.rstrip('.')}.")
