"""A step in our own database: what it decides is committed with its checkpoint, or it runs again."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Coroutine
from datetime import timedelta
from typing import Any, Final, ParamSpec, TypeVar

from domain.amends.errors import AmendsError, Contended
from workflows.amends.call import Retry, seconds
from workflows.amends.engine.history_writer import HistoryWriter
from workflows.amends.engine.steps.transaction_context import TransactionContext
from workflows.amends.engine.user_code.user_code import CodeNeverEnds, CodeRaised, CodeReturned, UserCode
from workflows.amends.ports.event_store import Overtaken
from workflows.amends.ports.execution_log import Committed, StepCommit, StreamMoved, TransactionInterrupted

P = ParamSpec("P")
S = TypeVar("S")
E = TypeVar("E")

RERUNS = 100
"""How often a transaction is run again because others wrote first, before an operator is asked."""

AGAIN: Final = Retry(first_wait=seconds(0.05), longest_wait=seconds(2))
"""How long it waits before it runs again, because of the database or of others who wrote first."""

log = logging.getLogger("amends.saga")


class TooSlow(AmendsError):
    """It took longer than {limit} s, and did nothing: what takes time belongs into a step, before the transaction."""

    limit: float


class StandsStill(AmendsError):
    """{reason}"""

    reason: str


class _Failed(Exception):
    """The body ended otherwise than by returning: nothing is committed."""

    def __init__(self, raised: CodeRaised) -> None:
        self.raised = raised


async def transact(
    name: str,
    history: HistoryWriter,
    code: UserCode,
    limit: timedelta,
    body: Callable[[TransactionContext], Coroutine[Any, Any, Any]],
    step_commit: Callable[[Any, TransactionContext], StepCommit],
    again: Callable[[], None],
) -> CodeReturned[Any] | CodeRaised:
    """Run `body` from its first line until what it decided is committed; returns how it ended.

    A database that is away is waited for, however long. What the transaction itself may cause, and others who write
    first, are tolerated a bounded number of times: then Contended or Overtaken are what it raised. `again` is called
    before every further run; it raises what prevents that. Nothing was written where CodeRaised is returned.
    """
    stale = tries = interruptions = 0
    exhausted = history.execution_log.replay.exhausted
    while True:
        if (wrong := history.execution_log.replay.exhausted) and wrong is not exhausted:
            return CodeRaised(StandsStill(wrong.reason))
        rereads = history.rereads
        try:
            made, result, committed = await _once(name, history, code, limit.total_seconds(), body, step_commit)
        except _Failed as failed:
            return failed.raised
        except TransactionInterrupted as interrupted:
            told = history.execution_log.identity.id, name, interrupted
            log.info("%s %s: interrupted, and runs again: %s", *told, extra={"step": name})
            interruptions += 1
            tries += interrupted.tries is not None
            if interrupted.tries is not None and tries >= interrupted.tries:
                return CodeRaised(Contended(tries, interrupted.problem))
            wait = AGAIN.wait_after(interruptions).total_seconds()
        else:
            if not isinstance(committed, StreamMoved):
                history.note_written(made, rereads)
                return CodeReturned(result)
            stale += 1
            if stale >= RERUNS:
                return CodeRaised(Overtaken(committed.stream, stale))
            wait = random.uniform(0, 0.002 * stale)
        again()
        await history.execution_log.wait_for_wakeup(wait)
        again()


async def _once(
    name: str,
    history: HistoryWriter,
    code: UserCode,
    limit: float,
    body: Callable[[TransactionContext], Coroutine[Any, Any, Any]],
    step_commit: Callable[[Any, TransactionContext], StepCommit],
) -> tuple[StepCommit, Any, Committed | StreamMoved]:
    """One transaction. Raises TransactionInterrupted, and _Failed if the body did not return."""
    async with history.execution_log.transaction() as store:
        tx = TransactionContext(store, history, name)
        try:
            ended = await code.run(name, limit, lambda: body(tx), history.completed_at)
        finally:
            tx.over = True
        if store.interrupted:
            raise store.interrupted
        if isinstance(ended, CodeReturned) and (wrong := tx.unfinished_call):
            ended = CodeRaised(wrong)
        if isinstance(ended, CodeRaised):
            too_slow = ended.late and isinstance(ended.error, asyncio.CancelledError | CodeNeverEnds)
            raise _Failed(CodeRaised(TooSlow(limit)) if too_slow and not code.given_up else ended)
        made = step_commit(ended.value, tx)
        try:
            return made, ended.value, await store.commit(made)
        except TransactionInterrupted:
            raise
        except Exception as error:
            raise _Failed(CodeRaised(error)) from error
