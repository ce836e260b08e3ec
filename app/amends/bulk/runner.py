"""Works bulk acts off: in batches, one server each at a time, and no faster than others are served beside it.

Each act has a key of its own, made of the bulk act and the number of the saga in it, so that it is done once whoever
does it. A server that dies is followed by another one, which begins with what is not recorded.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from app.amends.bulk.bulk_acts import BulkActs, BulkItem, ItemResult, TakenBulk, item_key
from domain.amends.errors import AmendsError, Conflict, Contended, NotFound, Unavailable
from domain.amends.event import Cause
from workflows.amends.acts.saga_act import SagaAct
from workflows.amends.background import cancel_tasks, wait_until_set
from workflows.amends.causes.normalised_error import normalised
from workflows.amends.client import SagaClient
from workflows.amends.ports.event_store import StoredAnswer
from workflows.amends.values.codec import digest
from workflows.amends.values.printable import error_message, one_line

log = logging.getLogger("amends.bulk")

LOOK_SECONDS: Final = 1.0
"""How often a server looks for a bulk act that nobody works off."""
LOOKS: Final = 20
"""How often it is looked, in the patience of a pace, whether the sagas of a batch are on their way no more."""
LEASE_SECONDS: Final = 15.0
"""How long a bulk act stays with a server that says nothing: it says something after each batch."""


@dataclass(frozen=True)
class Pace:
    """How fast bulk acts are worked off by one server: `batch` sagas at a time, `together` at once, so many a second.

    Others are served beside it because few of its sagas run at a time: while `under_way` of them do, the next batch
    waits, but no longer than `patience` seconds, for some take long.
    """

    batch: int = 8
    together: int = 4
    per_second: float = 100.0
    under_way: int = 4
    patience: float = 1.0


class ActedOn(Protocol):
    """Who is told, in this process, of what was done to sagas."""

    def request_queue_check(self) -> None:
        """Sagas were queued."""
        ...

    def cancel(self, id: str, reason: str) -> None:
        """A saga is to be cancelled, which may run here."""
        ...


class BulkRunner:
    """The runner of one process. `executor` is the id under which it takes bulk acts."""

    def __init__(
        self,
        acts: BulkActs,
        client: SagaClient,
        told: ActedOn,
        executor: Callable[[], str],
        pace: Pace = Pace(),
    ) -> None:
        self.acts, self._client, self._told, self._executor, self._pace = acts, client, told, executor, pace
        self._nudged = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to look for bulk acts."""
        self._task = asyncio.create_task(self._run(), name="bulk acts")

    async def stop(self) -> None:
        """Stop; what is left goes to others at once. What was not recorded is done once all the same."""
        await cancel_tasks(self._task)
        try:
            await self.acts.give_back(self._executor())
        except (Unavailable, Contended) as away:
            log.debug("Bulk acts are taken by others when their lease is over: %s", away)

    def check_work(self) -> None:
        """Look now: a bulk act was begun, or resumed."""
        self._nudged.set()

    async def _run(self) -> None:
        while True:
            self._nudged.clear()
            try:
                if await self.one_batch():
                    continue
            except (Unavailable, Contended) as away:
                log.debug("Bulk acts go on when the database is back: %s", away)
            except Exception:
                log.exception("A batch of a bulk act failed, and is done again.")
            await wait_until_set(self._nudged, LOOK_SECONDS)

    async def one_batch(self) -> bool:
        """Do the next batch of the bulk act whose turn it is; False if there is nothing to do, or some is left."""
        began, runner = time.monotonic(), self._executor()
        taken = await self.acts.take(runner, LEASE_SECONDS)
        if taken is None:
            return False
        items = await self.acts.batch(taken, self._pace.batch)
        results = await self._results(taken, items)
        status = await self.acts.record(taken.id, runner, results, LEASE_SECONDS)
        if status == "completed":
            log.info("Bulk act %s (%s) has ended.", taken.id, taken.request.act.name)
        if items and status == "running":
            await self._keep_pace(began, taken.id, items)
        return status is not None and 0 < len(results) == len(items)

    async def _keep_pace(self, began: float, id: str, items: Sequence[BulkItem]) -> None:
        """Wait until others had their share: of the time, and of the executors."""
        await asyncio.sleep(max(began + len(items) / self._pace.per_second - time.monotonic(), 0))
        for _ in range(LOOKS):
            if await self.acts.under_way(id, items[-1].number) < self._pace.under_way:
                break
            await asyncio.sleep(self._pace.patience / LOOKS)

    async def _results(self, taken: TakenBulk, items: Sequence[BulkItem]) -> list[ItemResult]:
        """What came of a batch; nothing is said of those that the database gave no answer for."""
        room = asyncio.Semaphore(self._pace.together)

        async def act(item: BulkItem) -> ItemResult | None:
            async with room:
                return await self._result(taken, item)

        results = await asyncio.gather(*map(act, items))
        self._told.request_queue_check()
        return [each for each in results if each is not None]

    async def _result(self, taken: TakenBulk, item: BulkItem) -> ItemResult | None:
        if item.answered:
            return ItemResult(item.number, "done")
        if item.name is None or item.version is None or (taken.request.decides and not item.unchanged):
            return ItemResult(item.number, "moved-on")
        try:
            await self._act(taken, item, item.name, item.version)
        except (Unavailable, Contended):
            return None
        except AmendsError as error:
            if isinstance(error, NotFound) and error.kind == "workflow":
                return ItemResult(item.number, "moved-on")
            if isinstance(error, Conflict) and error.kind == "status":  # the server before this one may do it yet
                done = await self.acts.is_answered(taken.id, item.number)
                return ItemResult(item.number, "done" if done else "moved-on")
            return ItemResult(item.number, "failed", normalised(error_message(error)))
        except Exception as bug:
            log.exception("Bulk act %s failed on saga %s.", taken.id, item.saga)
            return ItemResult(item.number, "failed", normalised(one_line(f"{type(bug).__name__}: {bug}")))
        return ItemResult(item.number, "done")

    async def _act(self, taken: TakenBulk, item: BulkItem, name: str, version: int) -> None:
        """Do to a saga what is asked for, once, in the name of whoever began the bulk act."""
        act, cause = taken.request.act, Cause(actor=taken.request.actor, causation_id=f"bulk {taken.id}")
        body = {"id": item.saga, "act": act.name, "bulk": taken.id}
        answer = StoredAnswer(item_key(taken.id, item.number), digest(body), body)
        match act.name:
            case "signal":
                sent: SagaAct = taken.request.signal_for(self._client, name, version)
                await self._client.signal(item.saga, str(sent.signal), sent.payload, cause, answer)
            case "cancel":
                await self._client.cancel(item.saga, name, version, act.reason, cause, answer)
                self._told.cancel(item.saga, act.reason)
            case "retry" | "skip" | "resolve":
                await self._client.handle_stuck(
                    item.saga, act.name, act.reason, cause, act.result, answer, item.stuck_at
                )
            case _:
                raise AssertionError(act.name)
