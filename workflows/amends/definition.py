"""What a saga consists of: its steps and their compensations, the types of what goes in and comes out."""

from __future__ import annotations

import inspect
import types
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from typing import Any, Literal

from domain.amends.errors import DefinitionError
from workflows.amends.call import Retry, require_duration
from workflows.amends.run_calls import MisplacedCall
from workflows.amends.values.codec import dump, json_schema

Kind = Literal["step", "transaction", "child"]


@dataclass(frozen=True)
class Compensation:
    """What puts a step right again, and how often it is tried before an operator is asked."""

    name: str
    body: Callable[..., Awaitable[None]]
    retry: Retry
    timeout: timedelta

    def __post_init__(self) -> None:
        _require_options(f"compensation {self.name}", self.body, self.retry, self.timeout)


@dataclass
class StepSpec:
    """What a step declares. `without_compensation` says that compensation=None was given."""

    name: str
    kind: Kind
    body: Callable[..., Awaitable[Any]]
    retry: Retry
    timeout: timedelta
    pivot: bool
    without_compensation: bool
    compensation: Compensation | None = None

    def __post_init__(self) -> None:
        _require_options(f"{self.kind} {self.name}", self.body, self.retry, self.timeout)


def _require_options(what: str, body: object, retry: object, timeout: object) -> None:
    """Raise DefinitionError for options of another type, and for a decorator without its function."""
    if not inspect.isroutine(body):
        raise DefinitionError(
            what, f"is declared above an async function, and given what it takes by name, not {body!r}"
        )
    if not isinstance(retry, Retry):
        raise DefinitionError(f"{what}, retry=…", f"is a Retry, such as Retry(attempts=5), not {retry!r}")
    require_duration(f"{what}, timeout=…", timeout)


@dataclass(frozen=True)
class DeclaredStep:
    """One step with what its annotations say."""

    step: StepSpec
    parameters: tuple[str, ...]
    types: tuple[Any, ...]
    result: Any
    signature: inspect.Signature
    child: Definition | None = None

    def arguments(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> tuple[Any, ...]:
        """A call's arguments in order of declaration, however they were passed."""
        if not kwargs and len(args) == len(self.parameters):
            return args
        try:
            bound = self.signature.bind(*args, **kwargs)
        except TypeError as error:
            wanted = ", ".join(self.parameters) or "nothing"
            raise MisplacedCall(self.step.name, f"{error}; it takes {wanted}") from None
        bound.apply_defaults()
        return tuple(bound.arguments[name] for name in self.parameters)

    @cached_property
    def arguments_type(self) -> Any:
        return types.GenericAlias(tuple, self.types)

    def dump_arguments(self, arguments: tuple[Any, ...]) -> Any:
        """Arguments as plain JSON data."""
        return dump(arguments, self.arguments_type)


@dataclass(frozen=True)
class Definition:
    """A saga's name and version, its steps in order of declaration, and the types of what goes in and comes out."""

    name: str
    version: int
    input: Any
    output: Any
    steps: Mapping[str, DeclaredStep]
    signals: Mapping[str, type[Any]]
    children: Sequence[Definition] = ()
    deadline: timedelta | None = None
    module: str = ""
    """Where the saga is declared: the refusals that it means are those known there."""

    @property
    def saga_type(self) -> str:
        """Name and version in one word: what an executor says it can run."""
        return f"{self.name}:{self.version}"

    def step(self, name: str) -> DeclaredStep:
        return self.steps[name]

    def child(self, child: Definition) -> DeclaredStep:
        """The step that runs another saga. Raises DefinitionError for one that is not declared."""
        if child not in self.children:
            raise DefinitionError(f"child({child.name})", f"is none of the sagas that {self.name} declares: children=…")
        return self.steps[child.name]

    def signal_name(self, cls: type[Any]) -> str:
        """The name of a signal that this saga takes. Raises DefinitionError for another one."""
        name = next((name for name, known in self.signals.items() if known is cls), None)
        if name is None:
            raise DefinitionError(
                f"receive({getattr(cls, '__name__', repr(cls))})",
                f"is none of the signals that {self.name} declares: signals=…",
            )
        return name

    def describe(self) -> dict[str, Any]:
        """The definition as plain JSON data, for people and their tools."""
        return {
            "name": self.name,
            "version": self.version,
            "input": json_schema(self.input),
            "steps": [
                {
                    "name": declared.step.name,
                    "kind": declared.step.kind,
                    "pivot": declared.step.pivot,
                    "compensation": declared.step.compensation and declared.step.compensation.name,
                }
                for declared in self.steps.values()
            ],
            "deadline_seconds": self.deadline and self.deadline.total_seconds(),
            "signals": {name: json_schema(cls) for name, cls in self.signals.items()},
        }
