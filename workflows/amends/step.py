"""The steps of a saga as its class has them: declared, given a compensation, and called to be awaited or gathered."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from datetime import timedelta
from typing import Any, ClassVar, Concatenate, Generic, ParamSpec, Protocol, TypeVar, final, overload

from pydantic_core import PydanticSerializationError

from domain.amends.aggregate import Aggregate
from domain.amends.errors import DefinitionError, Refusal
from workflows.amends.call import ATTEMPT_TIMEOUT, COMPENSATION_RETRY, Retry, Undo
from workflows.amends.definition import Compensation, DeclaredStep, Definition, StepSpec
from workflows.amends.run_calls import Word, call_context
from workflows.amends.values.codec import digest, dump, load_copy, stored_value
from workflows.amends.values.limits import Limits

S = TypeVar("S", bound="HasDefinition")
P = ParamSpec("P")
R = TypeVar("R")
State = TypeVar("State")
Event = TypeVar("Event")


class Transaction(Protocol):
    """The transaction of a step: changes to our own database, committed together with the step, exactly once or not at
    all.

    Await each of them; those that are asked for at once are done one after the other.
    """

    def decide(
        self,
        aggregate: Aggregate[State, Event],
        key: str,
        decision: Callable[Concatenate[State, P], Iterable[Event]],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> Awaitable[State]:
        """Load the aggregate, decide, and append the events if nobody else has written meanwhile.

        Returns the state after them. If somebody has, the whole step runs again with fresh state. Raises what the
        decision raises, Invalid for a key that no stream can have, and TooLarge and Unstorable for its events.
        """
        ...

    def append(self, stream: str, *events: object) -> None:
        """Append events to a stream, whatever its version: `tx.append("order-4711", OrderNoted("…"))`, not awaited.

        Raises Invalid for a stream that is none, or is Amends' own, and TooLarge and Unstorable for the events.
        """
        ...

    def execute(self, sql: str, parameters: dict[str, Any] | None = None) -> Awaitable[list[dict[str, Any]]]:
        """Run SQL on tables of your own in the same transaction; returns rows as dictionaries.

        Parameters are named, as psycopg takes them: `%(book)s` and `{"book": …}`.
        """
        ...


class ChildFailed(Refusal, name="child-failed"):
    """{saga} was compensated: {reason}."""

    saga: str
    reason: str


class HasDefinition(Protocol):
    """A saga, as far as its steps know it."""

    definition: ClassVar[Definition]


class StepCall(Word[R]):
    """A step with its arguments, not begun yet: await it, or give it to `gather`.

    The arguments are taken as they are now, as plain JSON data: what becomes of a list afterwards changes nothing.
    """

    def __init__(self, saga: HasDefinition, declared: DeclaredStep, arguments: tuple[Any, ...]) -> None:
        self.saga, self.declared, self.step = saga, declared, declared.step
        known = call_context.get(None)
        self._limit = (known.limits if known else Limits()).value
        self._values: tuple[Any, ...] | None = None
        if known is None or not known.next_is_recorded or not self._given_again(arguments):
            self._give(arguments)
        super().__init__(self.step.name)

    @property
    def stored_arguments(self) -> tuple[Any, ...]:
        """The arguments, as they come back from what is recorded of them."""
        known = self._values
        if known is None:
            known = self._values = load_copy(self.given, self.declared.arguments_type)
        return known

    def require_storable_arguments(self) -> None:
        """Look at arguments that were taken for recorded ones, and are not. Raises TooLarge and Unstorable."""
        if self._values is None:
            self._give(self.stored_arguments)

    def _give(self, arguments: tuple[Any, ...]) -> None:
        made = stored_value(
            arguments, self.declared.arguments_type, f"what {self.step.name} is called with", self._limit
        )
        self.given, self._values = made.data, made.value
        self.digest = digest(self.given)

    def _given_again(self, arguments: tuple[Any, ...]) -> bool:
        """Take the arguments of a call that is on record: they were looked at then, and their digest is compared."""
        try:
            self.given = dump(arguments, self.declared.arguments_type)
            self.digest = digest(self.given)
        except PydanticSerializationError:
            return False
        return True


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
            declared = saga.definition.step(self.spec.name)
            return StepCall(saga, declared, declared.arguments(args, kwargs))

        return call

    def _compensate(self, body: Callable[..., Awaitable[None]], retry: Retry, timeout: timedelta) -> Compensation:
        spec, name = self.spec, step_name(body)
        if spec.compensation is not None:
            raise DefinitionError(f"step {spec.name}", f"has two compensations, {spec.compensation.name} and {name}")
        spec.compensation = Compensation(name, body, retry, timeout)
        return spec.compensation


def step_name(body: Callable[..., object]) -> str:
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
