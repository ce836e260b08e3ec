"""A saga whose every piece of code does what a test says: a step, a transaction, their compensations, and `run`."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from domain.amends.errors import Refusal
from workflows.amends.saga import Call, Retry, Saga, Transaction, Undo, seconds, step, transaction

Does = Callable[[], Awaitable[Any]]


class No(Refusal, name="hostile-no"):
    """No."""


class Own(BaseException):
    """An exception that is no Exception."""


class Unspeakable(Exception):
    """An error that cannot say what it is."""

    def __str__(self) -> str:
        raise RuntimeError("not even this")

    __repr__ = __str__


async def nothing() -> None:
    """Do nothing wrong."""


def raises(error: BaseException) -> Does:
    """What raises an error."""

    async def body() -> None:
        raise error

    return body


async def cancels_itself() -> None:
    """Cancel the own task, and then wait."""
    task = asyncio.current_task()
    assert task is not None
    task.cancel()
    await asyncio.sleep(60)


async def cancelled_task() -> None:
    """Wait for a task that was cancelled."""
    task = asyncio.ensure_future(asyncio.sleep(60))
    task.cancel()
    await task


async def refuses() -> None:
    raise No


@dataclass(frozen=True)
class Hostile(Saga[str, Any], name="hostile"):
    """Keeps, prepares, calls, and ends as `at` says for each place; `done` tells what was called, in order."""

    at: dict[str, Does] = field(default_factory=dict)
    done: list[str] = field(default_factory=list)
    pivot: bool = False

    async def _does(self, place: str) -> Any:
        self.done.append(place)
        return await self.at.get(place, nothing)()

    async def run(self, request: str) -> str:
        await self.prepare()
        await self.call()
        ended = await self._does("run")
        return ended if ended is not None else request

    @transaction(timeout=seconds(0.5))
    async def prepare(self, tx: Transaction) -> None:
        await self._does("prepare")
        tx.append("hostile-1")

    @prepare.compensation(timeout=seconds(0.5))
    async def tidy(self, tx: Transaction) -> None:
        await self._does("tidy")

    @step(retry=Retry(attempts=3, first_wait=seconds(0)), timeout=seconds(0.5))
    async def call(self, call: Call) -> None:
        await self._does("call")

    @call.compensation(retry=Retry(attempts=5, first_wait=seconds(0)), timeout=seconds(0.5))
    async def undo(self, undo: Undo[None]) -> None:
        await self._does("undo")
