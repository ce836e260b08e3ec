"""How a step or a compensation is tried: with a timeout each time, again after a failure, and not for ever."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Generic, TypeVar

from domain.amends.errors import Refusal, TooLarge, Unstorable
from workflows.amends.brakes.brake import Brake, BrakePoint
from workflows.amends.call import Braked, ProviderDown, Retry, SentCalls, storable_provider_down
from workflows.amends.engine.history_writer import HistoryWriter
from workflows.amends.engine.user_code.tasks import ExitAttempted
from workflows.amends.engine.user_code.user_code import CodeNeverEnds, CodeRaised, CodeReturned, UserCode
from workflows.amends.history import Problem
from workflows.amends.run_calls import MisplacedCall
from workflows.amends.values.printable import error_message
from workflows.amends.values.refusals import is_refusal

CHAIN = 20
"""How far back it is looked for what an error came of."""
BUGS = (ExitAttempted, MisplacedCall, CodeNeverEnds)
"""What another attempt does not mend."""

T = TypeVar("T")
log = logging.getLogger("amends.saga")


@dataclass(frozen=True)
class AttemptAnswered(Generic[T]):
    value: T
    attempts: int


@dataclass(frozen=True)
class AttemptRefused:
    """The answer was no: as it was raised, and as it is stored."""

    refusal: Refusal
    problem: Problem
    attempts: int


@dataclass(frozen=True)
class AttemptsExhausted:
    """No attempt was answered, and there is no further one."""

    problem: Problem
    attempts: int


@dataclass(frozen=True)
class AttemptBug:
    """The code of the attempt is wrong in a way that another attempt does not mend: an operator must look at it."""

    problem: Problem
    attempts: int


@dataclass(frozen=True)
class BlockedByOutage:
    """A provider is down, so no attempt was made; `sent` says that something was sent all the same."""

    provider: str
    problem: Problem
    attempts: int
    sent: bool


@dataclass(frozen=True)
class BlockedByBrake:
    """A brake holds the step, or a call of it, so no attempt was made; `sent` as for an outage."""

    brake: Brake
    attempts: int
    sent: bool


Outcome = AttemptAnswered[T] | AttemptRefused | AttemptsExhausted | AttemptBug | BlockedByOutage | BlockedByBrake


@dataclass(frozen=True)
class AttemptPlan(Generic[T]):
    """What is tried: `body` makes one attempt, `tell` says of a failed one when the next is due.

    `point` is where a brake may hold it.
    """

    name: str
    step_id: int
    body: Callable[[int], Coroutine[Any, Any, T]]
    retry: Retry
    timeout: timedelta
    tell: Callable[[int, Problem, datetime], object]
    point: BrakePoint
    deadline: datetime | None = None
    again: Callable[[bool], None] | None = None
    """Told before every further attempt whether one was made in this execution; raises what prevents it."""


async def make_attempts(trial: AttemptPlan[T], history: HistoryWriter, code: UserCode) -> Outcome[T]:
    """Try until answered or out of attempts, those of earlier executions counted.

    A provider that is down ends it, and so does a brake.
    """
    execution_log = history.execution_log
    failed, due = execution_log.replay.failures.get(trial.step_id, (0, None))
    before, exhausted = failed, execution_log.replay.exhausted
    while True:
        if due is not None:
            await _pause(trial, history, due, failed > before)
        await execution_log.wait_for_lease()
        if (wrong := execution_log.replay.exhausted) and wrong is not exhausted:
            return AttemptBug(Problem("Exhausted", wrong.reason), failed)
        if brake := await execution_log.holding_brake(trial.point):
            return BlockedByBrake(brake, failed, failed > before)
        outbound = SentCalls(history.without_hidden, trial.step_id in execution_log.replay.provider_waits)
        ended = await _once(trial, failed + 1, history, code, outbound)
        if isinstance(ended, CodeReturned):
            return AttemptAnswered(ended.value, failed + 1)
        if down := _down(ended.error, outbound):
            about = {"step": trial.name, "provider": down.provider}
            log.debug("%s %s waits: %s", execution_log.identity.id, trial.name, error_message(down), extra=about)
            sent = failed > before or outbound.may_have_sent(ended.error)
            if outbound.brake:
                return BlockedByBrake(outbound.brake, failed, sent)
            return BlockedByOutage(down.provider, history.stored_problem(down), failed, sent)
        failed += 1
        outcome = _judged(ended, failed, trial, history, code)
        if not isinstance(outcome, Problem):
            return outcome
        told = execution_log.identity.id, trial.name, failed, outcome.message
        log.info("%s %s: attempt %d failed: %s", *told, extra={"step": trial.name, "attempt": failed})
        if failed >= trial.retry.attempts or code.given_up:
            return AttemptsExhausted(outcome, failed)
        due = execution_log.now() + trial.retry.wait_after(failed)
        await history.write(history.step_commit(trial.tell(failed, outcome, due), step=trial.name))


def _down(error: BaseException, outbound: SentCalls) -> ProviderDown | None:
    """The provider that an attempt found down last, if it failed because of that, whatever its code made of it."""
    if down := storable_provider_down(error):
        return down
    if outbound.down is None or is_refusal(error) or issubclass(type(error), BUGS):
        return None
    return outbound.down if _came_of(error) else None


def _came_of(error: BaseException | None) -> bool:
    """Whether an error came of a provider that is down, or of the time that a call to one took."""
    for _ in range(CHAIN):
        if error is None or issubclass(type(error), (ProviderDown, asyncio.CancelledError)):
            break
        error = error.__cause__ or error.__context__
    return error is not None


async def _once(
    trial: AttemptPlan[T], number: int, history: HistoryWriter, code: UserCode, outbound: SentCalls
) -> CodeReturned[T] | CodeRaised:
    async def body() -> T:
        return await trial.body(number)

    async def may_call(provider: str | None) -> None:
        await history.execution_log.wait_for_lease()
        if provider is None:
            return
        if brake := await history.execution_log.holding_brake(replace(trial.point, provider=provider)):
            outbound.brake, outbound.down = brake, Braked(provider, f"brake {brake.id}, {brake.reason}")
            raise outbound.down

    limit = trial.timeout.total_seconds()
    return await code.run(trial.name, limit, body, history.completed_at, may_call, outbound)


def _judged(
    ended: CodeRaised, attempts: int, trial: AttemptPlan[T], history: HistoryWriter, code: UserCode
) -> AttemptRefused | AttemptBug | Problem:
    """What an attempt that raised something means; a Problem is one that may be made again."""
    error = ended.error
    if is_refusal(error):
        try:
            return AttemptRefused(error, history.stored_refusal(error), attempts)
        except (Unstorable, TooLarge) as unstorable:
            return history.stored_problem(unstorable)
    problem = _explained(ended, trial.timeout, history, code)
    return AttemptBug(problem, attempts) if issubclass(type(error), BUGS) else problem


async def _pause(trial: AttemptPlan[T], history: HistoryWriter, due: datetime, called: bool) -> None:
    """Wait until the next attempt is due, unless something turns up that prevents it."""
    execution_log = history.execution_log
    while True:
        if trial.again:
            trial.again(called)
        if (now := execution_log.now()) >= due:
            return
        await execution_log.wait_until(min(due, trial.deadline) if trial.deadline and trial.deadline > now else due)


def _explained(ended: CodeRaised, timeout: timedelta, history: HistoryWriter, code: UserCode) -> Problem:
    """What went wrong, in words of ours where it was we who ended the attempt."""
    time = f"{timeout.total_seconds():g} s"
    if isinstance(ended.error, CodeNeverEnds):
        return Problem("NeverEnds", f"it goes on although its time, {time}, is over: it swallows its cancellation")
    if not (ended.late and isinstance(ended.error, asyncio.CancelledError)):
        return history.stored_problem(ended.error)
    if code.given_up:
        return Problem("GivenUp", "run stopped waiting for it, by a time limit or a cancel of its own")
    return Problem("TimeoutError", f"no answer within {time}")
