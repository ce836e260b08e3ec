"""How a step or a compensation is tried: with a timeout each time, again after a failure, and not for ever."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Generic, TypeVar

from domain.errors import Refusal
from workflows.calls import ProviderDown, Retry, Turn, seconds, turn
from workflows.engine.chronicle import Chronicle
from workflows.ports import Journal
from workflows.story import Problem

WAIT_FOR_PROVIDER = Retry(first_wait=seconds(0.25), longest_wait=seconds(4))
"""How long it takes a saga to notice that a provider is back; each a little differently, so not all come at once."""

T = TypeVar("T")
log = logging.getLogger("amends.saga")


@dataclass(frozen=True)
class Answered(Generic[T]):
    value: T
    attempts: int


@dataclass(frozen=True)
class Refused:
    refusal: Refusal
    attempts: int


@dataclass(frozen=True)
class Failed:
    """No attempt was answered, and there is no further one."""

    problem: Problem
    attempts: int


@dataclass(frozen=True)
class Trial(Generic[T]):
    """What is tried: `body` makes one attempt, `tell` says of a failed one when the next is due."""

    name: str
    slot: int
    body: Callable[[int], Awaitable[T]]
    retry: Retry
    timeout: timedelta
    tell: Callable[[int, Problem, datetime], object]
    deadline: datetime | None = None
    again: Callable[[bool], None] | None = None
    """Told before every further attempt whether one was made in this life; raises what prevents it."""


async def attempt(trial: Trial[T], chronicle: Chronicle) -> Answered[T] | Refused | Failed:
    """Try until answered or out of attempts; those of earlier lives count."""
    journal = chronicle.journal
    failed, due = journal.recording.failures.get(trial.slot, (0, None))
    before, down = failed, 0
    while True:
        if due is not None:
            await _pause(trial, chronicle, due, failed > before)
        await journal.may_call()
        try:
            return Answered(await _once(trial, journal, failed + 1), failed + 1)
        except Refusal as refusal:
            return Refused(refusal, failed + 1)
        except ProviderDown as nobody:
            down += 1
            due = journal.now() + WAIT_FOR_PROVIDER.wait_after(down)
            log.debug("%s %s waits: %s", journal.identity.id, trial.name, nobody)
            continue
        except Exception as error:
            failed += 1
            problem = _explained(error, trial.timeout, chronicle)
            log.info("%s %s: attempt %d failed: %s", journal.identity.id, trial.name, failed, problem.message)
        if failed >= trial.retry.attempts:
            return Failed(problem, failed)
        due = journal.now() + trial.retry.wait_after(failed)
        await chronicle.write(chronicle.entry(trial.tell(failed, problem, due), step=trial.name))


async def _once(trial: Trial[T], journal: Journal, number: int) -> T:
    """One attempt, in the time that it has."""
    async with asyncio.timeout(trial.timeout.total_seconds()) as clock:
        token = turn.set(Turn(clock, journal.may_call))
        try:
            return await trial.body(number)
        finally:
            turn.reset(token)


async def _pause(trial: Trial[T], chronicle: Chronicle, due: datetime, called: bool) -> None:
    """Wait until the next attempt is due, unless something turns up that prevents it."""
    journal = chronicle.journal
    while True:
        if trial.again:
            trial.again(called)
        if (now := journal.now()) >= due:
            return
        await journal.pause(min(due, trial.deadline) if trial.deadline and trial.deadline > now else due)


def _explained(error: Exception, timeout: timedelta, chronicle: Chronicle) -> Problem:
    if isinstance(error, TimeoutError) and not str(error):
        return Problem("TimeoutError", f"no answer within {timeout.total_seconds():g} s")
    return chronicle.problem(error)
