"""Commits on their way to the database, and the answers that callers wait for."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

from psycopg.rows import TupleRow

from app.amends.postgres.statements.commit_connection import Parameters
from app.amends.postgres.statements.resending import Resending, Unsettled
from domain.amends.errors import AmendsError, Unavailable

BUSY = "busy"


@dataclass
class PendingAnswer:
    """An answer that a caller waits for until `give_up_at`; `item` is its part of a shared commit."""

    give_up_at: float | None
    answer: asyncio.Future[list[TupleRow]]
    item: str = ""
    sent_at: float = field(default_factory=time.monotonic)
    was_sent: bool = False
    """Whether the database may have received it."""

    def __post_init__(self) -> None:
        if self.give_up_at is not None:
            patience = self.give_up_at - self.sent_at
            timer = self.answer.get_loop().call_later(patience, self.resolve, Unavailable(round(patience, 1)))
            self.answer.add_done_callback(lambda _: timer.cancel())

    def resolve(self, answer: list[TupleRow] | AmendsError) -> None:
        if self.answer.done():
            return
        if type(answer) is Unavailable and self.was_sent:
            answer = Unsettled(answer.seconds)
        if isinstance(answer, AmendsError):
            self.answer.set_exception(answer)
        else:
            self.answer.set_result(answer)


@dataclass
class CommitMessage:
    """One commit, for one caller or for several who share it; `held_up` says that others hold its locks."""

    statement: str
    parameters: Parameters
    callers: Sequence[PendingAnswer]
    shared: bool = False
    held_up: bool = False

    @property
    def is_wanted(self) -> bool:
        """Whether a caller still waits for the answer."""
        return any(not each.answer.done() for each in self.callers)

    @cached_property
    def tries(self) -> Resending:
        """The tries of a message that has one caller."""
        caller = self.callers[0]
        return Resending("A commit", caller.give_up_at, caller.sent_at, parameters=self.parameters)

    def fail_callers(self, error: AmendsError) -> None:
        for caller in self.callers:
            caller.resolve(error)

    def answer_callers(self, rows: list[TupleRow]) -> Sequence[PendingAnswer]:
        """Answer all callers; returns those whose items must go again alone."""
        if not self.shared:
            self.callers[0].resolve(rows)
            return ()
        again = []
        for number, outcome, *answer in rows:
            if outcome == BUSY:
                again.append(self.callers[number])
            else:
                self.callers[number].resolve([(outcome, *answer)])
        return again


def shared_commit(statement: str, callers: Sequence[PendingAnswer], held_up: bool = False) -> CommitMessage:
    """One commit of the items of several callers."""
    items = ",".join(caller.item for caller in callers)
    return CommitMessage(statement, (f"[{items}]",), callers, shared=True, held_up=held_up)
