"""A service as data: what a team gives to Amends, and what Amends gives it to build that from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

from fastapi import APIRouter

from app.amends.postgres.connections.pool import Pool
from app.amends.settings import Settings
from app.amends.store.aggregates.repository import Repository
from app.amends.store.idempotent_requests import IdempotentRequests
from workflows.amends.providers import Providers
from workflows.amends.saga import Saga

S = TypeVar("S", bound=Settings)


@dataclass(frozen=True)
class ServiceContext(Generic[S]):
    """The parts of Amends that a service may use when it is built."""

    settings: S
    here: str
    """The base URL at which this process serves."""
    token: str = field(repr=False)
    """The token by which the service calls itself, also below the paths of `Parts.private`."""
    providers: Providers
    """The other systems that sagas call, each with its circuit breaker."""
    repository: Repository
    """Decisions of aggregates outside sagas."""
    requests: IdempotentRequests
    """The answers to requests with an idempotency key."""
    pool: Pool
    """Connections for tables of the service's own."""


@dataclass(frozen=True, kw_only=True)
class Parts:
    """The parts of one process of a service beside those of Amends."""

    sagas: Sequence[Saga[Any, Any]]
    """The business processes, each with its ports' implementations."""
    routers: Sequence[APIRouter] = ()
    """HTTP endpoints of its own."""
    resources: Sequence[AbstractAsyncContextManager[Any]] = ()
    """Resources that a server opens before the first saga runs, and closes in reverse after the last one has
    stopped."""
    private: Sequence[str] = ()
    """Prefixes of paths that only the service itself may call."""
    notes: Sequence[str] = ()
    """Lines that `./run up` prints once the server is up, for whoever started it."""


@dataclass(frozen=True, kw_only=True)
class Service(Generic[S]):
    """One service: `app/main.py` of a project holds it under the name `service`.

    Aggregates, events and read models are found in the project's `domain` and `workflows`. Below `root` are also
    `domain/events.lock.json`, `tests/samples`, `migrations/versions` and `migrations/rights.sql`, as far as there are.
    """

    root: Path
    """The project's folder."""
    build: Callable[[ServiceContext[S]], Parts]
    """Builds one process; a server calls it, and each command that needs the sagas. It opens nothing yet."""
    settings: type[S]
    """A subclass of Settings for settings of its own, or Settings itself."""
    commands: Sequence[Callable[..., None]] = ()
    """Commands of its own, as Typer takes them: `./run amends NAME`."""
