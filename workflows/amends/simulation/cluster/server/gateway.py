"""Other systems, as the servers of a cluster reach them: over the network, through a gateway with a circuit breaker."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from inspect import iscoroutinefunction
from typing import Any, Final, Generic, TypeVar, cast

from workflows.amends.call import ProviderDown
from workflows.amends.providers import NoAnswer
from workflows.amends.simulation.cluster.server.server import Server
from workflows.amends.simulation.cluster.virtual_time import VirtualLoop

T = TypeVar("T")

ANSWER_SECONDS: Final = 60.0
"""How long a gateway waits for an answer: longer than the steps that call it."""


class ServiceUnavailable(Exception):
    """The other system has failed; it may have done what it was asked for all the same."""


def simulated_gateway(target: T, name: str, server: Server, outside: VirtualLoop, breaker: bool = True) -> T:
    """Another system as one server has it: what is called on it is done by `target`, somewhere outside.

    A call may be lost, on its way or back, may fail, and may arrive when nobody waits for it any more. With `breaker`
    it goes through the provider of this name.
    """
    return cast(T, SimulatedGateway(target, name, server, outside, breaker))


class SimulatedGateway(Generic[T]):
    """Passes on whatever is called."""

    def __init__(self, target: T, name: str, server: Server, outside: VirtualLoop, breaker: bool) -> None:
        self._target, self._name, self._server, self._outside = target, name, server, outside
        self._link = server.link(name)
        self._provider = server.providers.to(name) if breaker else None

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._target, name)
        return partial(self._call, found) if iscoroutinefunction(found) else found

    async def _call(self, operation: Callable[..., Any], *args: Any, **options: Any) -> Any:
        if self._provider is None:
            if self._server.network.is_cut(self._name):
                raise ProviderDown(self._name, "connection refused")
            return await self._sent(partial(operation, *args, **options))
        async with self._provider.call(tells=True) as sending:
            if self._server.network.is_cut(self._name):
                raise NoAnswer("connection refused")
            await sending.starts()
            self._server.note_call(self._name)
            return await self._sent(partial(operation, *args, **options))

    async def _sent(self, operation: Callable[[], Any]) -> Any:
        dice, failing = self._server.dice, self._server.network.weather.failing
        fails = dice.choice(("before", "after")) if failing and dice.random() < failing else None
        try:
            return await self._link.ask_once(
                lambda: self._outside.create_task(self._served(operation, fails)), ANSWER_SECONDS, moves=True
            )
        except TimeoutError as silent:
            raise NoAnswer(str(silent)) from silent

    async def _served(self, operation: Callable[[], Any], fails: str | None) -> Any:
        note = self._server.note
        try:
            if fails == "before":
                raise ServiceUnavailable("503")
            answer = operation()
            if isinstance(answer, Awaitable):
                answer = await answer
            if fails == "after":
                raise ServiceUnavailable("500")
        except BaseException as error:
            note(f"{self._name} for server {self._server.pid}: {_shown(operation)} raises {error!r}")
            raise
        note(f"{self._name} for server {self._server.pid}: {_shown(operation)} is done")
        return answer


def _shown(operation: Any) -> str:
    return f"{operation.func.__name__} {' '.join(map(str, operation.args))} {operation.keywords or ''}"
