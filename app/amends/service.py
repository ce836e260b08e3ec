"""A service as data: what a team gives to Amends, and what Amends gives it to build that from."""

from __future__ import annotations

import inspect
import tomllib
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Generic, TypeVar

from fastapi import APIRouter

from app.amends.postgres.connections.pool import Pool
from app.amends.settings import Settings
from app.amends.store.aggregates.repository import Repository
from app.amends.store.idempotent_requests import IdempotentRequests
from domain.amends.errors import DefinitionError
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

    Aggregates, events and read models are not listed: every one that a module of the project's `domain` or `workflows`
    has under a name is found there, also one that it imports from another package. Below `root` are
    `domain/events.lock.json`, `tests/samples`, `migrations/versions` and `migrations/rights.sql`, as far as there are.

    Raises DefinitionError for what is given in another form.
    """

    root: Path
    """The project's folder. What it is called stands in its `pyproject.toml`."""
    build: Callable[[ServiceContext[S]], Parts]
    """Builds one process; a server calls it, and each command that needs the sagas. It opens nothing yet."""
    settings: type[S]
    """A subclass of Settings for settings of its own, or Settings itself."""
    commands: Sequence[Callable[..., None]] = ()
    """Commands of its own, as Typer takes them: `./run amends NAME`."""

    def __post_init__(self) -> None:
        given: object = self.settings
        if not isinstance(self.root, Path):
            raise DefinitionError("root of Service", f"is a Path, not {self.root!r}: Path(__file__).parents[1]")
        if not _takes_one_argument(self.build):
            raise DefinitionError("build of Service", "is a function that takes a ServiceContext and returns Parts")
        if inspect.iscoroutinefunction(self.build):
            raise DefinitionError("build of Service", "is a plain `def`: what must be opened goes into resources=[…]")
        if not isinstance(given, type) or not issubclass(given, Settings):
            raise DefinitionError(
                "settings of Service", f"is a subclass of Settings itself, not {given!r}: settings=Settings"
            )
        if isinstance(self.commands, str) or not isinstance(self.commands, Sequence):
            raise DefinitionError("commands of Service", "is a list of functions: commands=[…], also for one")

    @cached_property
    def name(self) -> str:
        """What the project is called in its `pyproject.toml`, and the service in metrics; `amends` without one."""
        try:
            with (self.root / "pyproject.toml").open("rb") as file:
                return str(tomllib.load(file)["project"]["name"])
        except (OSError, KeyError, tomllib.TOMLDecodeError):
            return "amends"

    @property
    def title(self) -> str:
        """The name as a heading."""
        return self.name.replace("-", " ").capitalize()

    @property
    def database_name(self) -> str:
        """What the database of a new embedded Postgres is called; that of Amends' own checkout keeps its old name."""
        return "postgres" if self.name == "amends" else self.name.replace("-", "_")


def _takes_one_argument(build: object) -> bool:
    if not callable(build):
        return False
    try:
        inspect.signature(build).bind(None)
    except TypeError:
        return False
    except ValueError:  # it has no signature
        return True
    return True
