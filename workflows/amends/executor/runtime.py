"""What carries executions out: it begins one for each saga that was claimed, and keeps how it ended."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol

from workflows.amends.ports.saga_store import ClaimedSaga

Body = Callable[..., Awaitable[Any]]
"""One execution of a saga: called with what the saga was started with, it returns the saga's result."""


class Runtime(Protocol):
    """DBOS, or what a simulation has in its place."""

    def bind_bodies(self, bodies: Mapping[str, Body]) -> None:
        """Run these for the sagas of these names; called once, before `launch`.

        TurnedBack ends a saga like a result; after Fenced, and Suspended, its outcome is somebody else's to write.
        """
        ...

    def launch(self) -> None:
        """Begin, in the running event loop."""
        ...

    def change_executor(self, executor: str) -> None:
        """Run what comes from here on as another executor."""
        ...

    async def run(self, claimed: ClaimedSaga, owner: str) -> None:
        """Run a saga that this executor has claimed under this owner; returns once that is under way."""
        ...

    def current_execution(self) -> tuple[str, str]:
        """The id of the saga whose body asks, and the token under which this execution owns it."""
        ...

    def next_step_id(self) -> int:
        """Draw the number of the next step of the saga whose body asks."""
        ...

    @property
    def busy_saga_threads(self) -> int:
        """How many functions code of sagas runs in threads, which nobody can cancel."""
        ...

    async def stop(self) -> None:
        """Stop, once nothing runs any more."""
        ...
