"""The words a business process is written in: Saga, step, transaction, pivot, compensation, Retry."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Coroutine, Generator, Iterable, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import (
    TYPE_CHECKING,
    Any,
    ClassVar,
    Concatenate,
    Final,
    Generic,
    Literal,
    ParamSpec,
    Protocol,
    TypeVar,
    dataclass_transform,
    final,
    overload,
)
from uuid import UUID

from domain.aggregate import Aggregate
from domain.errors import AmendsError, Misdeclared
from domain.event import NAME
from workflows.calls import ATTEMPT_TIMEOUT, COMPENSATION_RETRY, Call, Done, Retry, Undo, Unknown, hours, seconds

if TYPE_CHECKING:
    from workflows.definition import Definition

__all__ = [
    "Call",
    "Done",
    "Retry",
    "Saga",
    "Transaction",
    "Undo",
    "Unknown",
    "hours",
    "seconds",
    "signal",
    "step",
    "transaction",
]

S = TypeVar("S", bound="Saga[Any, Any]")
P = ParamSpec("P")
R = TypeVar("R")
In = TypeVar("In")
Out = TypeVar("Out")
State = TypeVar("State")
T = TypeVar("T")
Event = TypeVar("Event")
A = TypeVar("A")
B = TypeVar("B")
C = TypeVar("C")
D = TypeVar("D")


class NotInSaga(AmendsError):
    """{what} works only inside a running saga: start the saga, or rehearse it (workflows/rehearsal.py)."""

    what: str


class Transaction(Protocol):
    """Changes to our own database that are committed together with the step, exactly once, or not at all."""

    async def decide(
        self,
        aggregate: Aggregate[State, Event],
        key: str,
        decision: Callable[Concatenate[State, P], Iterable[Event]],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> State:
        """Load the aggregate, decide, and append the events if nobody else has written meanwhile.

        Returns the state after them. If somebody has, the whole step runs again with fresh state.
        """
        ...

    def append(self, stream: str, *events: object) -> None:
        """Append events to a stream, whatever its version."""
        ...

    async def execute(self, sql: str, parameters: dict[str, Any] | None = None) -> list[dict[str, Any]]:
        """Run SQL on tables of your own in the same transaction; returns rows as dictionaries."""
        ...


class Performer(Protocol):
    """What runs the steps of one saga: the durable engine, or a rehearsal."""

    async def perform(self, step: StepSpec, arguments: tuple[Any, ...]) -> Any: ...

    async def gather(self, calls: Sequence[StepCall[Any]]) -> tuple[Any, ...]: ...

    async def receive(self, signal: type[Any], patience: timedelta | None) -> Any: ...

    async def sleep(self, duration: timedelta) -> None: ...

    def now(self) -> datetime: ...

    def new_id(self) -> UUID: ...


performer: ContextVar[Performer] = ContextVar("performer")


def _performer(what: str) -> Performer:
    try:
        return performer.get()
    except LookupError:
        raise NotInSaga(what) from None


Kind = Literal["step", "transaction"]


@dataclass(frozen=True)
class Compensation:
    """What puts a step right again, and how often it is tried before a person is asked."""

    name: str
    body: Callable[..., Awaitable[None]]
    retry: Retry
    timeout: timedelta


@dataclass
class StepSpec:
    """What a step declares. `excused` says that compensation=None was given."""

    name: str
    kind: Kind
    body: Callable[..., Awaitable[Any]]
    retry: Retry
    timeout: timedelta
    pivot: bool
    excused: bool
    compensation: Compensation | None = None


@dataclass(frozen=True)
class StepCall(Generic[R]):
    """A step with its arguments, not begun yet: await it, or give it to `gather`."""

    step: StepSpec
    arguments: tuple[Any, ...]

    def __await__(self) -> Generator[Any, None, R]:
        return _performer(f"step {self.step.name}").perform(self.step, self.arguments).__await__()


class Step(Generic[S, P, R]):
    """A declared step; reading it from a saga gives the function that `run` calls."""

    def __init__(self, spec: StepSpec) -> None:
        self.spec = spec

    @overload
    def __get__(self, saga: None, owner: type[S]) -> Step[S, P, R]: ...
    @overload
    def __get__(self, saga: S, owner: type[S]) -> Callable[P, StepCall[R]]: ...
    def __get__(self, saga: S | None, owner: type[S]) -> Step[S, P, R] | Callable[P, StepCall[R]]:
        if saga is None:
            return self

        def call(*args: P.args, **kwargs: P.kwargs) -> StepCall[R]:
            return StepCall(self.spec, saga.definition.step(self.spec.name).arguments(args, kwargs))

        return call

    def _compensate(self, body: Callable[..., Awaitable[None]], retry: Retry, timeout: timedelta) -> Compensation:
        spec, name = self.spec, _name(body)
        if spec.compensation is not None:
            raise Misdeclared(f"step {spec.name}", f"has two compensations, {spec.compensation.name} and {name}")
        spec.compensation = Compensation(name, body, retry, timeout)
        return spec.compensation


def _name(body: Callable[..., object]) -> str:
    return str(getattr(body, "__name__", body))


@final
class OutsideStep(Step[S, P, R]):
    """A call to another system: at least once, always with the same key."""

    @overload
    def compensation(self, body: Callable[Concatenate[S, Undo[R], P], Awaitable[None]], /) -> Compensation: ...
    @overload
    def compensation(
        self, /, *, retry: Retry = ..., timeout: timedelta = ...
    ) -> Callable[[Callable[Concatenate[S, Undo[R], P], Awaitable[None]]], Compensation]: ...
    def compensation(
        self,
        body: Callable[Concatenate[S, Undo[R], P], Awaitable[None]] | None = None,
        /,
        *,
        retry: Retry = COMPENSATION_RETRY,
        timeout: timedelta = ATTEMPT_TIMEOUT,
    ) -> Any:
        """Declare what undoes this step; it is called with what the step was called with."""
        return self._compensate(body, retry, timeout) if body else lambda body: self._compensate(body, retry, timeout)


@final
class TransactionStep(Step[S, P, R]):
    """A change to our own database: exactly once."""

    @overload
    def compensation(self, body: Callable[Concatenate[S, Transaction, P], Awaitable[None]], /) -> Compensation: ...
    @overload
    def compensation(
        self, /, *, retry: Retry = ..., timeout: timedelta = ...
    ) -> Callable[[Callable[Concatenate[S, Transaction, P], Awaitable[None]]], Compensation]: ...
    def compensation(
        self,
        body: Callable[Concatenate[S, Transaction, P], Awaitable[None]] | None = None,
        /,
        *,
        retry: Retry = COMPENSATION_RETRY,
        timeout: timedelta = ATTEMPT_TIMEOUT,
    ) -> Any:
        """Declare what takes this step back; it is called with what the step was called with."""
        return self._compensate(body, retry, timeout) if body else lambda body: self._compensate(body, retry, timeout)


@dataclass_transform(frozen_default=True)
def signal(name: str) -> Callable[[type[T]], type[T]]:
    """Declare a class as a signal: a frozen dataclass that somebody sends to a saga under `name`."""
    if not NAME.fullmatch(name):
        raise Misdeclared(f"signal {name!r}", "a name is lower-case words joined by hyphens, such as 'approval'")

    def declare(cls: type[T]) -> type[T]:
        made = dataclass(frozen=True)(cls)
        made.__signal__ = name  # type: ignore[attr-defined]
        return made

    return declare


class _Undeclared:
    """The default of `compensation=`: neither one nor a reason why there is none."""


_UNDECLARED: Final = _Undeclared()


@overload
def step(body: Callable[Concatenate[S, Call, P], Awaitable[R]], /) -> OutsideStep[S, P, R]: ...
@overload
def step(
    *, retry: Retry = ..., timeout: timedelta = ..., pivot: bool = ..., compensation: None = ...
) -> Callable[[Callable[Concatenate[S, Call, P], Awaitable[R]]], OutsideStep[S, P, R]]: ...
def step(
    body: Callable[..., Awaitable[Any]] | None = None,
    /,
    *,
    retry: Retry = Retry(),
    timeout: timedelta = ATTEMPT_TIMEOUT,
    pivot: bool = False,
    compensation: _Undeclared | None = _UNDECLARED,
) -> Any:
    """Declare a call to another system.

    `timeout` bounds one attempt. `pivot=True` is the point of no return; `compensation=None` says that
    nothing needs to be undone. A step with neither, and without `@<step>.compensation`, does not import.
    """

    def declare(body: Callable[..., Awaitable[Any]]) -> OutsideStep[Any, Any, Any]:
        return OutsideStep(StepSpec(_name(body), "step", body, retry, timeout, pivot, compensation is None))

    return declare(body) if body else declare


@overload
def transaction(body: Callable[Concatenate[S, Transaction, P], Awaitable[R]], /) -> TransactionStep[S, P, R]: ...
@overload
def transaction(
    *, pivot: bool = ..., compensation: None = ...
) -> Callable[[Callable[Concatenate[S, Transaction, P], Awaitable[R]]], TransactionStep[S, P, R]]: ...
def transaction(
    body: Callable[..., Awaitable[Any]] | None = None,
    /,
    *,
    pivot: bool = False,
    compensation: _Undeclared | None = _UNDECLARED,
) -> Any:
    """Declare a change to our own database. It fails only by a Refusal, and then it has done nothing."""

    def declare(body: Callable[..., Awaitable[Any]]) -> TransactionStep[Any, Any, Any]:
        spec = StepSpec(
            _name(body), "transaction", body, Retry(attempts=1), ATTEMPT_TIMEOUT, pivot, compensation is None
        )
        return TransactionStep(spec)

    return declare(body) if body else declare


class Saga(ABC, Generic[In, Out]):
    """A business process: steps that either all happen or are put right again.

    Subclass it as a frozen dataclass whose fields are the ports it needs:
    `class PlaceOrder(Saga[OrderRequest, Confirmation], name="place-order", version=1)`.
    `signals` are the classes that `receive` waits for; a saga that is not past its pivot when its `deadline`, counted
    from its start, is over turns back. What is wrong with a declaration is raised as Misdeclared at its import.
    """

    definition: ClassVar[Definition]

    def __init_subclass__(
        cls,
        *,
        name: str | None = None,
        version: int = 1,
        signals: Sequence[type[Any]] = (),
        deadline: timedelta | None = None,
        **options: Any,
    ) -> None:
        super().__init_subclass__(**options)
        if name is None:
            raise Misdeclared(cls.__name__, 'has no name: class …(Saga[In, Out], name="place-order", version=1)')
        from workflows.definition import define

        cls.definition = define(cls, name, version, signals, deadline)

    @abstractmethod
    async def run(self, request: In, /) -> Out:
        """The happy path, and nothing else. It must be deterministic: time and ids come from `now` and `new_id`."""

    def reference(self, request: In, /) -> str:
        """The business's own name for this instance, such as an order's number; empty if it has none."""
        return ""

    @overload
    async def gather(self, a: StepCall[A], b: StepCall[B], /) -> tuple[A, B]: ...
    @overload
    async def gather(self, a: StepCall[A], b: StepCall[B], c: StepCall[C], /) -> tuple[A, B, C]: ...
    @overload
    async def gather(self, a: StepCall[A], b: StepCall[B], c: StepCall[C], d: StepCall[D], /) -> tuple[A, B, C, D]: ...
    @overload
    async def gather(self, *calls: StepCall[R]) -> tuple[R, ...]: ...
    async def gather(self, *calls: StepCall[Any]) -> tuple[Any, ...]:
        """Do several steps at the same time; returns what they return, in the order in which they stand.

        All of them settle first, also when one is refused or fails; then the saga goes on as with that one alone.
        A branch of more than one step is a saga of its own.
        """
        wrong = [call for call in calls if not isinstance(call, StepCall)]
        for call in wrong:
            if isinstance(call, Coroutine):
                call.close()
        if wrong:
            raise Misdeclared("gather", f"takes calls of steps, not {wrong[0]!r}; a longer branch is a child saga")
        return await _performer("gather()").gather(calls)

    async def receive(self, signal: type[T], *, timeout: timedelta | None = None) -> T | None:  # noqa: ASYNC109
        """Wait for a signal, one that came before anybody waited included; None if the time is over first.

        Each is received once, in the order in which they came. Waiting takes no memory, thread or connection, and may
        take months.
        """
        received: T | None = await _performer("receive()").receive(signal, timeout)
        return received

    async def sleep(self, duration: timedelta) -> None:
        """Let time pass, however long: it takes no memory, thread or connection."""
        await _performer("sleep()").sleep(duration)

    def now(self) -> datetime:
        """When the last recorded step was completed; the same in every replay."""
        return _performer("now()").now()

    def new_id(self) -> UUID:
        """A new id derived from the saga's; the same in every replay."""
        return _performer("new_id()").new_id()
