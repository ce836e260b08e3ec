"""Bulk acts in Postgres: begun with the set that they are fixed to, taken by servers, and steered by operators."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

from app.amends.bulk.request import MOST, BulkActName, BulkRequest
from app.amends.postgres.sql_files import load_statements
from app.amends.postgres.statements.committer import Committer
from app.amends.postgres.statements.reader import Reader
from app.amends.store.events.encoding import answer_json
from app.amends.store.sagas.causes import SQL as CAUSES
from app.amends.store.sagas.filters import CAUSE, SagaFilters, conditions
from domain.amends.errors import Conflict, NotFound
from workflows.amends.acts.saga_act import SagaAct
from workflows.amends.ids import new_id
from workflows.amends.ports.event_store import IdempotencyKey, RepeatedRequest, StoredAnswer, repeated_answer
from workflows.amends.values.codec import dump, json_text, load

SQL: Final = load_statements(Path(__file__).with_name("bulk_acts.sql"))
PATIENCE: Final = 20.0
"""How long the database is waited for, in seconds, before the caller has to try again."""
ERRORS, EXAMPLES = 20, 5
"""How many errors of a bulk act are shown, and how many sagas of each."""

LOOKED_AT: Final = 50
"""How many of the sagas that were acted on last are looked at for what is still on its way."""

BulkStatus: TypeAlias = Literal["running", "paused", "cancelled", "completed"]
ItemOutcome: TypeAlias = Literal["done", "failed", "moved-on"]
Steering: TypeAlias = Literal["pause", "resume", "cancel"]
STEERED: Final[dict[Steering, tuple[Sequence[BulkStatus], BulkStatus]]] = {
    "pause": (("running",), "paused"),
    "resume": (("paused",), "running"),
    "cancel": (("running", "paused"), "cancelled"),
}
"""From which statuses, and to which."""


@dataclass(frozen=True)
class ChosenSagas:
    """How many sagas match, `MOST` and one at most, and the ids of those that stand as they do for longest."""

    count: int
    first: Sequence[str]


@dataclass(frozen=True)
class BulkFailure:
    """An error that sagas of a bulk act have in common."""

    error: str
    count: int
    examples: Sequence[str]


@dataclass(frozen=True)
class BulkAct:
    """A bulk act as it stands; `runner` is the executor that works it off."""

    id: str
    act: BulkActName
    filter: dict[str, Any]
    asked: dict[str, Any]
    actor: str
    status: BulkStatus
    total: int
    done: int
    failed: int
    moved_on: int
    runner: str | None
    notes: list[dict[str, Any]]
    started_at: datetime
    finished_at: datetime | None

    @property
    def left(self) -> int:
        """How many sagas are still to be acted on."""
        return self.total - self.done - self.failed - self.moved_on


@dataclass(frozen=True)
class TakenBulk:
    """A bulk act that this executor works off for a while."""

    id: str
    request: BulkRequest


@dataclass(frozen=True)
class BulkItem:
    """A saga of a bulk act; `answered` says that it was acted on already.

    `name` and `version` are None if it does not match any more. It stands as it did if it is `unchanged`; `stuck_at` is
    the version of its history that tells where it got stuck last.
    """

    number: int
    saga: str
    answered: bool
    name: str | None
    version: int | None
    unchanged: bool
    stuck_at: int | None


@dataclass(frozen=True)
class ItemResult:
    """What came of acting on a saga."""

    number: int
    outcome: ItemOutcome
    error: str | None = None


class BulkActs:
    """The bulk acts of a database."""

    def __init__(self, committer: Committer, reader: Reader) -> None:
        self._committer, self._reader = committer, reader

    async def chosen(self, request: BulkRequest, first: int) -> ChosenSagas:
        """How many sagas a bulk act would concern now, and the first of them."""
        where, parameters = await self._matching(request)
        statement = SQL["chosen"].format(conditions=where)
        ((count, found),) = await self._reader.tuples(statement, parameters | {"limit": MOST + 1, "first": first})
        return ChosenSagas(count, found)

    async def begin(
        self, id: str, request: BulkRequest, expected: int | None, answer: StoredAnswer | None
    ) -> tuple[int, bool]:
        """Begin a bulk act; returns how many sagas match, and whether it was begun: not if those are too many.

        The set is that of one moment. Raises Unavailable.
        """
        most = MOST if expected is None else min(expected, MOST)
        where, parameters = await self._matching(request)
        given = parameters | {
            "id": id,
            "act": request.act.name,
            "filter": json_text(dump(request.filters, SagaFilters)),
            "asked": json_text(dump(request.act, SagaAct) | {"known": request.known}),
            "most": most,
            "limit": MOST + 1,
            "note": json_text(_note("begin", request.actor, request.act.reason)),
            "answer": answer and json_text(answer_json(answer)),
            "by": request.actor,
        }
        statement = SQL["begin"].format(conditions=where)
        ((count, begun),) = await self._committer.run(statement, given, PATIENCE)
        return count, begun

    async def one(self, id: str) -> tuple[BulkAct, Sequence[BulkFailure]]:
        """A bulk act, and what failed in it. Raises NotFound."""
        row = await self._reader.row(SQL["one"], {"id": id})
        if row is None:
            raise NotFound("bulk act", id)
        asked = {"id": id, "limit": ERRORS, "examples": EXAMPLES}
        failures = [BulkFailure(**each) for each in await self._reader.rows(SQL["failures"], asked)]
        return BulkAct(**row), failures

    async def page(self, limit: int, before: tuple[datetime, str] | None) -> list[BulkAct]:
        """Some bulk acts, newest first: those that were begun before one."""
        at, id = before or (None, None)
        rows = await self._reader.rows(SQL["all"], {"before_at": at, "before_id": id, "limit": limit})
        return [BulkAct(**row) for row in rows]

    async def steer(
        self, id: str, action: Steering, actor: str, reason: str, key: IdempotencyKey | None = None
    ) -> dict[str, Any]:
        """Pause, resume or cancel a bulk act; returns the answer, also for a repeated request.

        Raises NotFound, and Conflict for a status in which that means nothing.
        """
        before, after = STEERED[action]
        done: dict[str, Any] = {"id": id, "status": after}
        answer = StoredAnswer(key.key, key.digest, done) if key else None
        given = {
            "id": id,
            "from": list(before),
            "to": after,
            "note": json_text(_note(action, actor, reason)),
            "answer": answer and json_text(answer_json(answer)),
        }
        ((outcome, status, kept, body),) = await self._committer.run(SQL["steer"], given, PATIENCE)
        if outcome == "repeated":
            assert answer is not None
            return repeated_answer(answer.key, answer.digest, RepeatedRequest(kept, body))
        if outcome == "done":
            return done
        if status is None:
            raise NotFound("bulk act", id)
        raise Conflict("status", f"Bulk act {id} is {status}: there is nothing to {action}.")

    # -- for the server that works it off

    async def take(self, runner: str, lease: float) -> TakenBulk | None:
        """Take the bulk act whose turn it is, if this executor is alive; None if nothing is to be done."""
        rows = await self._committer.run(SQL["take"], {"runner": runner, "lease": lease}, PATIENCE)
        if not rows:
            return None
        id, _, filter, asked, actor = rows[0]
        known = asked.pop("known")
        return TakenBulk(id, BulkRequest(load(filter, SagaFilters), load(asked, SagaAct), actor, known))

    async def give_back(self, runner: str) -> None:
        """Leave what this executor has taken to others."""
        await self._committer.run(SQL["give_back"], {"runner": runner}, PATIENCE)

    async def batch(self, taken: TakenBulk, limit: int) -> list[BulkItem]:
        """The next sagas, as all of them stand at one moment."""
        where, parameters = await self._matching(taken.request)
        given = parameters | {"id": taken.id, "limit": limit}
        rows = await self._reader.rows(SQL["batch"].format(conditions=where), given)
        return [BulkItem(**row) for row in rows]

    async def is_answered(self, id: str, number: int) -> bool:
        """Whether a saga was acted on for a bulk act, by whichever server."""
        return bool(await self._reader.tuples(SQL["answered"], (item_key(id, number),)))

    async def record(self, id: str, runner: str, results: Sequence[ItemResult], lease: float) -> BulkStatus | None:
        """Record what came of a batch; None, and nothing is recorded, if another executor has the bulk act by now."""
        outcomes = json_text([vars(each) for each in results])
        given = {"id": id, "runner": runner, "outcomes": outcomes, "lease": lease}
        rows = await self._committer.run(SQL["record"], given, PATIENCE)
        return rows[0][0] if rows else None

    async def under_way(self, id: str, last: int) -> int:
        """How many sagas are still on their way of those that were acted on last, up to this number."""
        given = {"id": id, "last": last, "looked_at": LOOKED_AT}
        ((count,),) = await self._reader.tuples(SQL["under_way"], given)
        return int(count)

    async def _matching(self, request: BulkRequest) -> tuple[str, dict[str, Any]]:
        """The condition in SQL that a saga must meet, and its parameters."""
        parameters = request.filters.parameters()
        status = "status = 'stuck'" if request.decides else "status not in ('completed', 'compensated')"
        if not request.filters.needs_causes:
            return f"{conditions(parameters)} and {status}", parameters
        causes = [row["id"] for row in await self._reader.rows(CAUSES["matching"], parameters)]
        return f"{conditions(parameters)} and {status} and {CAUSE} = any (%(causes)s)", parameters | {"causes": causes}


def item_key(id: str, number: int) -> str:
    """The key of one act of a bulk act; no request can have one with spaces."""
    return f"bulk {id} {number}"


def _note(action: str, actor: str, reason: str) -> dict[str, str]:
    return {"id": str(new_id()), "action": action, "actor": actor, "reason": reason}
