"""Which executors ran a saga, from when to when, and why each left it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import pairwise
from typing import Final, Literal, TypeAlias

from workflows.amends.history.status import Status

MOST_EXECUTIONS: Final = 20
"""So many executions of a saga are kept, the newest ones."""

ExecutionEnd: TypeAlias = (
    Status
    | Literal[
        "provider", "brake", "handed-over", "executor-gone", "lease-over", "unknown-executor", "terminated", "lost"
    ]
)
"""Why an executor left a saga: the status with which it was finished or suspended, where `waiting` is for a signal, a
time or a child, `provider` for a provider, and `brake` at a brake; it was handed over, or taken over from an executor
whose process was gone, whose lease was over, or whose registration the database has lost; its workflow was terminated
outside Amends; or the database has lost how it ended."""

ExecutionStart: TypeAlias = Literal["start", "wake", "operator", "retry", "handover", "takeover", "recall"]
"""Why an executor began to run a saga: it was started; what it waited for came, or is asked for again; an operator or
a request let it go on; it is tried again with the code here; it was handed over or taken over; its parent wants it
compensated."""

AFTER: Final[dict[ExecutionEnd, ExecutionStart]] = {
    "completed": "recall",
    "waiting": "wake",
    "provider": "wake",
    "brake": "wake",
    "stranded": "retry",
    "handed-over": "handover",
    "executor-gone": "takeover",
    "lease-over": "takeover",
    "unknown-executor": "takeover",
    "lost": "takeover",
}


@dataclass(frozen=True)
class ExecutionRecord:
    """An executor ran a saga: `number` says the how manieth time that was, counted from 1."""

    number: int
    executor: str
    began_at: datetime
    ended_at: datetime | None = None
    ended_by: ExecutionEnd | None = None


def with_execution(
    known: Sequence[ExecutionRecord], executor: str, at: datetime, left_at: datetime
) -> list[ExecutionRecord]:
    """The executions of a saga, once an executor runs it: the newest ones.

    Whoever gave it back without a word, at `left_at`, has handed it over.
    """
    ended = with_end(known, left_at, "handed-over")
    number = ended[-1].number + 1 if ended else 1
    return [*ended, ExecutionRecord(number, executor, at)][-MOST_EXECUTIONS:]


def with_end(known: Sequence[ExecutionRecord], at: datetime, by: ExecutionEnd) -> list[ExecutionRecord]:
    """The executions of a saga, once its executor has left it; those of a saga that nobody runs are as they were."""
    if not known or known[-1].ended_at is not None:
        return list(known)
    return [*known[:-1], replace(known[-1], ended_at=max(at, known[-1].began_at), ended_by=by)]


def execution_starts(ends: Sequence[ExecutionEnd | None], first: int) -> Iterator[ExecutionStart | None]:
    """Why each of a saga's executions began, told by how the one before it has ended.

    `first` is the number of the first of them; of one whose predecessor is not kept any more nobody knows.
    """
    if ends:
        yield "start" if first == 1 else None
    for before, _ in pairwise(ends):
        yield None if before is None else AFTER.get(before, "operator")
