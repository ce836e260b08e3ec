"""The clients of a cluster: they start sagas, send them signals and cancel them, again and again until answered."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field, replace
from functools import partial
from random import Random
from typing import Any, Final, Literal

from domain.amends.errors import Conflict, NotFound, Unavailable
from domain.amends.event import Cause
from workflows.amends.client import StartsRefused, TerminatedAction
from workflows.amends.executor.engine import Engine
from workflows.amends.history import OperatorAction
from workflows.amends.ports.event_store import StoredAnswer
from workflows.amends.simulation.cluster.network import Network, NetworkLink
from workflows.amends.simulation.cluster.server.server import Server
from workflows.amends.simulation.cluster.virtual_time import VirtualLoop

PATIENCE: Final = 3.0
"""How long a client waits for one server before it asks another one."""
AGAIN_SECONDS: Final = 0.2
"""How long it waits before it asks again."""


@dataclass(frozen=True)
class StartAction:
    """A saga of this name is started."""

    at: float
    id: str
    saga: str
    request: Any


@dataclass(frozen=True)
class SignalAction:
    """A signal is sent to a saga, under an idempotency key."""

    at: float
    id: str
    signal: object
    key: str


@dataclass(frozen=True)
class CancelAction:
    """Somebody wants a saga of this name cancelled."""

    at: float
    id: str
    saga: str
    reason: str


DbosAction = Literal["cancel", "resume", "fork"]


@dataclass(frozen=True)
class DbosToolAction:
    """Somebody cancels or resumes a saga's workflow in DBOS's own tools, or forks it from its last step."""

    at: float
    id: str
    does: DbosAction


Action = StartAction | SignalAction | CancelAction | DbosToolAction


@dataclass
class Clients:
    """All clients, in one process that never dies; requests were `accepted`, or `refused`, under these keys."""

    network: Network
    servers: Callable[[], list[Server]]
    dice: Random
    note: Callable[[str], None]
    accepted: dict[str, None] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)
    waiting: int = 0
    """How many requests have not been answered."""

    def __post_init__(self) -> None:
        self._starts: dict[str, StartAction] = {}
        self.loop = VirtualLoop(self.network.timeline)
        self._link = NetworkLink(self.network, self.loop, "a server", self.dice)

    def perform(self, action: Action) -> None:
        """Let a client do something at its time."""
        match action:
            case StartAction():
                self._starts[action.id] = action
                self._at(action.at, action.id, lambda engine: _start(engine, action))
            case SignalAction():
                self._at(action.at, action.key, lambda engine: _send(engine, action))
            case CancelAction():
                self._at(action.at, f"cancel {action.id}", lambda engine: _cancel(engine, action))
            case DbosToolAction():
                raise AssertionError("DBOS's tools are no client of ours")

    def decide_stuck(self, id: str, action: OperatorAction, reason: str, key: str, result: Any = None) -> None:
        """Let an operator decide about a stuck saga now."""
        self._at(self.network.timeline.now, key, lambda engine: _decide(engine, id, action, reason, key, result))

    def decide_terminated(self, id: str, action: TerminatedAction, key: str) -> None:
        """Let an operator decide about a saga that was terminated in DBOS's own tools."""
        self._at(self.network.timeline.now, key, lambda engine: _decide_terminated(engine, id, action, key))

    def _at(self, at: float, key: str, ask: Callable[[Engine], Coroutine[Any, Any, object]]) -> None:
        self.waiting += 1
        self.network.timeline.at(at, lambda: self.loop.call_soon(self._begin, key, ask))

    def _begin(self, key: str, ask: Callable[[Engine], Coroutine[Any, Any, object]]) -> None:
        _ = self.loop.create_task(self._until_answered(key, ask), name=f"client {key}")

    async def _until_answered(self, key: str, ask: Callable[[Engine], Coroutine[Any, Any, object]]) -> None:
        while True:
            up = [server for server in self.servers() if server.is_up]
            if up:
                server = self.dice.choice(up)
                try:
                    _ = await self._link.ask_once(partial(_served, server, ask), PATIENCE)
                    self.accepted[key] = None
                    self.note(f"server {server.pid} accepts: {key}")
                    break
                except Conflict as refused:
                    self.refused[key] = str(refused)
                    self.note(f"server {server.pid} refuses: {key}: {refused}")
                    break
                except (TimeoutError, Unavailable, NotFound, StartsRefused) as unanswered:
                    self.note(f"server {server.pid} has not answered: {key}: {unanswered!r}")
                    if isinstance(unanswered, NotFound):
                        self._start_again(unanswered.key)
            await asyncio.sleep(AGAIN_SECONDS)
        self.waiting -= 1

    def _start_again(self, id: str) -> None:
        """A saga is not there whose start was accepted: the store has lost that, and it is started once more."""
        if id in self._starts and id in self.accepted:
            del self.accepted[id]
            self.perform(replace(self._starts[id], at=self.network.timeline.now))


def _served(server: Server, ask: Callable[[Engine], Coroutine[Any, Any, object]]) -> asyncio.Task[object]:
    """A request, as a server does it, unless it has died meanwhile."""
    if not server.is_up or server.engine is None:
        raise Unavailable(0.0)
    return server.loop.create_task(ask(server.engine), name="request")


async def _start(engine: Engine, action: StartAction) -> object:
    if engine.draining.is_set():
        raise Unavailable(0.0)
    saga = engine.saga_client.newest_definition(action.saga)
    return await engine.start(saga, action.request, action.id, Cause())


async def _send(engine: Engine, action: SignalAction) -> object:
    client, name = engine.saga_client, str(getattr(action.signal, "__signal__", ""))
    payload = client.signal_payload_json(name, action.signal, type(action.signal))
    answer = StoredAnswer(action.key, action.key, {"id": action.id, "signal": name})
    noted = await client.signal(action.id, name, payload, Cause(), answer)
    engine.request_queue_check()
    return noted


async def _cancel(engine: Engine, action: CancelAction) -> object:
    id, reason, definition = action.id, action.reason, engine.saga_client.newest_definition(action.saga).definition
    key = f"cancel {id} {reason}"
    answer = StoredAnswer(key, key, {"id": id})
    noted = await engine.saga_client.cancel(id, definition.name, definition.version, reason, Cause(), answer)
    engine.cancel(id, reason)
    return noted


async def _decide(engine: Engine, id: str, action: OperatorAction, reason: str, key: str, result: Any) -> object:
    answer = StoredAnswer(key, key, {"id": id, "act": action})
    noted = await engine.saga_client.handle_stuck(id, action, reason, Cause(actor="an operator"), result, answer)
    engine.request_queue_check()
    return noted


async def _decide_terminated(engine: Engine, id: str, action: TerminatedAction, key: str) -> object:
    answer = StoredAnswer(key, key, {"id": id, "act": action})
    noted = await engine.saga_client.handle_terminated(id, action, "decided", Cause(actor="an operator"), answer)
    engine.request_queue_check()
    return noted
