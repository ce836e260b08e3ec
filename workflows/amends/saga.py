"""The words a business process is written in: Saga, step, transaction, pivot, compensation, Retry."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from datetime import datetime, timedelta
from typing import (
    Any,
    ClassVar,
    Concatenate,
    Final,
    Generic,
    ParamSpec,
    TypeVar,
    dataclass_transform,
    get_args,
    get_origin,
    overload,
)
from uuid import UUID

from domain.amends.errors import DefinitionError
from domain.amends.event import frozen_dataclass
from domain.amends.names import NAME
from workflows.amends.call import ATTEMPT_TIMEOUT, Call, Done, OutcomeUnknown, Retry, Undo, hours, seconds
from workflows.amends.declaration import read_definition
from workflows.amends.definition import Definition, StepSpec
from workflows.amends.run_calls import (
    GatherCall,
    MisplacedCall,
    NotInSaga,
    ReceiveCall,
    SleepCall,
    current_call_context,
)
from workflows.amends.step import ChildFailed, OutsideStep, StepCall, Transaction, TransactionStep, step_name
from workflows.amends.values.refusals import note_saga_module

__all__ = [
    "Call",
    "ChildFailed",
    "Done",
    "MisplacedCall",
    "NotInSaga",
    "OutcomeUnknown",
    "Retry",
    "Saga",
    "Transaction",
    "Undo",
    "hours",
    "seconds",
    "signal",
    "step",
    "transaction",
]

S = TypeVar("S", bound="Saga[Any, Any]")
P = ParamSpec("P")
R = TypeVar("R")
In = TypeVar("In", contravariant=True)
Out = TypeVar("Out", covariant=True)
Asked = TypeVar("Asked")
Answer = TypeVar("Answer")
T = TypeVar("T")
A = TypeVar("A")
B = TypeVar("B")
C = TypeVar("C")
D = TypeVar("D")


@dataclass_transform(frozen_default=True)
def signal(name: str) -> Callable[[type[T]], type[T]]:
    """Declare a class as a signal: a frozen dataclass that somebody sends to a saga under `name`."""
    if not isinstance(name, str) or not NAME.fullmatch(name):
        given = f"signal {name!r}" if isinstance(name, str) else "signal"
        raise DefinitionError(given, "is given a name, lower-case words joined by hyphens: @signal('approval')")

    def declare(cls: type[T]) -> type[T]:
        made = frozen_dataclass(cls, f"signal {name!r}")
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
    """Declare a call to another system: `async def charge(self, call: Call, order: Order) -> Receipt`.

    `timeout` (30 s) bounds one attempt, `retry` says how many there are (3). `pivot=True` is the point of no return;
    `compensation=None` says that nothing needs to be undone. A step with neither, and without `@<step>.compensation`,
    does not import. What it takes and returns is stored as JSON. A Refusal is an answer and is raised in `run`; an
    error is tried again. Raises DefinitionError.
    """

    _require_none("step", compensation)

    def declare(body: Callable[..., Awaitable[Any]]) -> OutsideStep[Any, Any, Any]:
        return OutsideStep(StepSpec(step_name(body), "step", body, retry, timeout, pivot, compensation is None))

    return declare(body) if body else declare


@overload
def transaction(body: Callable[Concatenate[S, Transaction, P], Awaitable[R]], /) -> TransactionStep[S, P, R]: ...
@overload
def transaction(
    *, timeout: timedelta = ..., pivot: bool = ..., compensation: None = ...
) -> Callable[[Callable[Concatenate[S, Transaction, P], Awaitable[R]]], TransactionStep[S, P, R]]: ...
def transaction(
    body: Callable[..., Awaitable[Any]] | None = None,
    /,
    *,
    timeout: timedelta = ATTEMPT_TIMEOUT,
    pivot: bool = False,
    compensation: _Undeclared | None = _UNDECLARED,
) -> Any:
    """Declare a change to our own database: `async def note(self, tx: Transaction, order: Order) -> None`.

    It fails only by a Refusal, and then it has done nothing. Its code has `timeout` (30 s) to come to its end: what
    takes time belongs into a step. `pivot` and `compensation` are those of a step. Raises DefinitionError.
    """

    _require_none("transaction", compensation)

    def declare(body: Callable[..., Awaitable[Any]]) -> TransactionStep[Any, Any, Any]:
        spec = StepSpec(step_name(body), "transaction", body, Retry(attempts=1), timeout, pivot, compensation is None)
        return TransactionStep(spec)

    return declare(body) if body else declare


def _is_class(annotation: Any) -> bool:
    return type(annotation) is type  # others may say themselves what is of them


def _require_declared_types(cls: type[Saga[Any, Any]]) -> None:
    """Raise DefinitionError where `run` takes or returns another class than `Saga[In, Out]` says."""
    for base in vars(cls).get("__orig_bases__", ()):
        if get_origin(base) is Saga:
            wanted, given = get_args(base), (cls.definition.input, cls.definition.output)
            for verb, of, one in (("takes", wanted[0], given[0]), ("returns", given[1], wanted[1])):
                if _is_class(one) and _is_class(of) and not issubclass(of, one):
                    own, said = (one, of) if verb == "takes" else (of, one)
                    problem = f"{verb} {own.__name__}, and Saga[…, …] says {said.__name__}: make them the same"
                    raise DefinitionError(f"{cls.__name__}.run", problem)


def _require_none(kind: str, compensation: object) -> None:
    if compensation is not _UNDECLARED and compensation is not None:
        problem = "takes None alone: declare it below the step, as a function of its own under @<step>.compensation"
        raise DefinitionError(f"@{kind}(compensation=…)", problem)


class Saga(ABC, Generic[In, Out]):
    """A business process: steps that either all happen or are put right again.

    Subclass it as a frozen dataclass whose fields are the ports it needs:
    `class PlaceOrder(Saga[OrderRequest, Confirmation], name="place-order", version=1)`.
    `signals` are the classes that `receive` waits for, `children` the sagas that it starts with `child`; a saga that is
    not past its pivot when its `deadline`, counted from its start, is over is compensated. What is wrong with a
    declaration is raised as DefinitionError at its import.
    """

    definition: ClassVar[Definition]

    def __init_subclass__(
        cls,
        *,
        name: str | None = None,
        version: int = 1,
        signals: Sequence[type[Any]] = (),
        children: Sequence[type[Saga[Any, Any]]] = (),
        deadline: timedelta | None = None,
        **options: Any,
    ) -> None:
        try:
            super().__init_subclass__(**options)
        except TypeError as error:
            known = "name, version, signals, children and deadline"
            raise DefinitionError(cls.__name__, f"has no option {', '.join(options)}: there are {known}") from error
        try:
            cls.definition = read_definition(cls, name, version, signals, children, deadline)
            _require_declared_types(cls)
        except DefinitionError as error:
            raise error.with_traceback(None) from None  # the last line of the team's own is that of its class
        note_saga_module(cls.__module__, cls.definition.name, cls.definition.version)

    @abstractmethod
    async def run(self, request: In, /) -> Out:
        """The happy path, and nothing else. It must be deterministic: time and ids come from `now` and `new_id`."""

    def reference(self, request: In, /) -> str:
        """The business's own name for this instance, such as an order's number; empty if it has none."""
        return ""

    def child(self, saga: type[Saga[Asked, Answer]], request: Asked, /) -> StepCall[Answer]:
        """Run another saga as a step of this one: await it, or give it to `gather`.

        It is a saga of its own, with its own history, and this one is suspended until it has ended. If it is
        compensated, its refusal is raised here, or ChildFailed. If this saga is compensated later, the child is
        compensated too; one that has a pivot is a pivot here too. A cancel of this saga travels to it. Raises
        DefinitionError for one that `children` does not name.
        """
        if not isinstance(saga, type):
            raise MisplacedCall(
                "child", f"takes the class {type(saga).__name__} itself: an object of it is in sagas=[…]"
            )
        return StepCall(self, self.definition.child(saga.definition), (request,))

    @overload
    def gather(self, a: StepCall[A], b: StepCall[B], /) -> GatherCall[tuple[A, B]]: ...
    @overload
    def gather(self, a: StepCall[A], b: StepCall[B], c: StepCall[C], /) -> GatherCall[tuple[A, B, C]]: ...
    @overload
    def gather(
        self, a: StepCall[A], b: StepCall[B], c: StepCall[C], d: StepCall[D], /
    ) -> GatherCall[tuple[A, B, C, D]]: ...
    @overload
    def gather(self, *calls: StepCall[R]) -> GatherCall[tuple[R, ...]]: ...
    def gather(self, *calls: StepCall[Any]) -> GatherCall[Any]:
        """Do several steps at the same time; returns what they return, in the order in which they stand.

        It is the one way to do steps side by side: `asyncio.gather` and tasks are refused. All of them settle first,
        also when one is refused or fails; then the saga goes on as with that one alone. A branch of more than one step
        is a saga of its own: `child`.
        """
        wrong = [call for call in calls if not isinstance(call, StepCall)]
        for call in wrong:
            if isinstance(call, Coroutine):
                call.close()
        if wrong:
            given = "them in a list: write gather(*calls)" if isinstance(wrong[0], list | tuple) else f"{wrong[0]!r}"
            problem = "takes calls of steps, such as self.book(request) without its own await, not"
            raise MisplacedCall("gather", f"{problem} {given}; a longer branch is a child saga")
        return GatherCall(calls)

    def receive(self, signal: type[T], *, timeout: timedelta | None = None) -> ReceiveCall[T | None]:
        """Wait for a signal, one that came before anybody waited included; None if the time is over first.

        Each is received once, in the order in which they came. Waiting takes no memory, thread or connection, and may
        take months; a timeout is a hundred years at most. Raises DefinitionError for a signal that `signals` does not
        name.
        """
        return ReceiveCall(self.definition.signal_name(signal), signal, timeout)

    def sleep(self, duration: timedelta) -> SleepCall:
        """Let time pass, up to a hundred years: it takes no memory, thread or connection."""
        return SleepCall(duration)

    def now(self) -> datetime:
        """When the last recorded step was completed, in UTC; the same in every replay. Raises NotInSaga elsewhere."""
        return current_call_context("now()").now()

    def new_id(self) -> UUID:
        """A new id derived from the saga's; the same in every replay. Raises NotInSaga elsewhere."""
        return current_call_context("new_id()").new_id()
