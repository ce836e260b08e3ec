"""What the engine needs of the store about the processes that run sagas, and about their leases."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol


@dataclass(frozen=True)
class OtherExecutor:
    """Another executor, as far as the database knows; `expired` says that its lease is over by the database's clock."""

    id: str
    machine: str
    pid: int
    process_started_at: float
    expired: bool


class Executors(Protocol):
    """The processes that run sagas."""

    async def register_executor(
        self, executor: str, machine: str, pid: int, process_started_at: float, saga_types: Sequence[str], lease: float
    ) -> datetime:
        """Make this executor known, with its first lease; returns the database's time."""
        ...

    async def other_executors(self, executor: str) -> list[OtherExecutor]: ...

    async def hand_over(self, executor: str, running: Sequence[str]) -> int:
        """Queue what an executor is recorded as running, but for these, which it still runs; returns how many.

        Raises Unavailable if the database does not answer in time.
        """
        ...

    async def end_executors(self, executors: Sequence[str], by: str, died: bool, patience: float | None = None) -> int:
        """End executors and queue what they ran; returns how many sagas that were.

        With `patience`, raises Unavailable if the database does not answer in so many seconds.
        """
        ...


class Leases(Protocol):
    """The leases of executors. They are renewed beside the store: in Postgres over a connection of their own."""

    def renew_lease(self, executor: str, lease: float, /) -> datetime | None:
        """Renew a lease of so many seconds; returns the store's time, None if the lease was taken away.

        Raises whatever keeps the store from answering.
        """
        ...
