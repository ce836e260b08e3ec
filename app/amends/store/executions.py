"""The executors that ran a saga, one after the other, as people are shown them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from workflows.amends.history.execution_record import ExecutionEnd, ExecutionStart, execution_starts


@dataclass(frozen=True)
class ShownExecution:
    """An executor ran a saga; `machine` and `pid` are those of its process, if the database still knows that."""

    number: int
    executor: str
    machine: str | None
    pid: int | None
    began_at: datetime
    ended_at: datetime | None
    began_by: ExecutionStart | None
    ended_by: ExecutionEnd | None

    def __str__(self) -> str:
        process = f" (process {self.pid} on {self.machine})" if self.machine else ""
        until = f" until {self.ended_at.isoformat(timespec='milliseconds')}" if self.ended_at else ""
        why = f": {PHRASES.get(self.ended_by, self.ended_by)}" if self.ended_by else ""
        return f"{self.executor}{process} from {self.began_at.isoformat(timespec='milliseconds')}{until}{why}"


PHRASES: dict[ExecutionEnd, str] = {
    "handed-over": "handed over",
    "executor-gone": "its process was gone",
    "lease-over": "its lease was over",
    "unknown-executor": "the database did not know it any more",
    "terminated": "the workflow was terminated outside Amends",
    "lost": "the database had lost how it ended",
    "provider": "waiting for a provider",
    "brake": "waiting at a brake",
}


def shown_executions(rows: Sequence[Sequence[Any]]) -> list[ShownExecution]:
    """Executions as `amends.executions_of` gives them, oldest first; times may be text."""
    starts = execution_starts([row[6] for row in rows], rows[0][0] if rows else 1)
    return [
        ShownExecution(number, executor, machine, pid, _instant(began), ended and _instant(ended), start, why)
        for (number, executor, machine, pid, began, ended, why), start in zip(rows, starts, strict=True)
    ]


def changed_executor(executions: Sequence[ShownExecution]) -> bool:
    """Whether another executor went on with the saga."""
    return len({each.executor for each in executions}) > 1


def _instant(at: str | datetime) -> datetime:
    return datetime.fromisoformat(at) if isinstance(at, str) else at
