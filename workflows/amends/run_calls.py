"""What `run` asks of its saga: a step, a wait, several steps at once. Each is asked by `run` itself, and once."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextvars import ContextVar
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar
from uuid import UUID

from domain.amends.errors import AmendsError

if TYPE_CHECKING:
    from workflows.amends.values.limits import Limits

R = TypeVar("R")


class NotInSaga(AmendsError):
    """{what} works only inside a running saga: start the saga, or simulate it (workflows.amends.simulation)."""

    what: str


class MisplacedCall(AmendsError):
    """{call}: {problem}"""

    call: str
    problem: str


ELSEWHERE = (
    "was awaited in a task or thread that is not run's own (create_task, asyncio.gather, a TaskGroup, wait_for, "
    "to_thread). Steps side by side are await self.gather(self.a(…), self.b(…)), a longer branch is a child saga, a "
    "limit of time is @step(timeout=…) or receive(timeout=…)"
)
FOREIGN = "is a step of another saga than the one that runs: start that one with await self.child(Other, request)"
TWICE = "was awaited before: call it again to do it again"
UNAWAITED = "was called, but never awaited, so it was not done: write await"


class CallContext(Protocol):
    """Whose words these are: those of a running saga, or of one of its steps, which may not speak."""

    @property
    def limits(self) -> Limits: ...

    @property
    def next_is_recorded(self) -> bool:
        """Whether the next step that is asked for is on record."""
        ...

    def word_called(self, word: Word[Any]) -> None:
        """Take note of a word. Raises MisplacedCall where none may be said."""
        ...

    def word_awaited(self, word: Word[Any]) -> None:
        """Take note that a word is awaited, here and now. Raises MisplacedCall where it may not be."""
        ...

    def now(self) -> datetime: ...

    def new_id(self) -> UUID: ...


call_context: ContextVar[CallContext] = ContextVar("performer")


def current_call_context(what: str) -> CallContext:
    """Who performs here. Raises NotInSaga."""
    try:
        return call_context.get()
    except LookupError:
        raise NotInSaga(what) from None


class Word(Generic[R]):
    """Something that `run` asks for: to be awaited once, in run itself.

    Awaiting it hands it to whoever drives `run` (engine/user_code/running.py), who sends the answer back.
    """

    saga: object = None
    """Whose step this is, if it is one."""

    def __init__(self, says: str) -> None:
        self.says, self.taken = says, False
        if (known := call_context.get(None)) is not None:
            known.word_called(self)

    def take(self) -> None:
        """Take note that it is awaited or gathered. Raises MisplacedCall the second time."""
        if self.taken:
            raise MisplacedCall(self.says, TWICE)
        self.taken = True

    def __await__(self) -> Generator[Any, Any, R]:
        current_call_context(self.says).word_awaited(self)
        answer: R = yield self
        return answer


class GatherCall(Word[R]):
    """Several steps at the same time."""

    def __init__(self, calls: Sequence[Any]) -> None:
        super().__init__("gather")
        self.calls = tuple(calls)
        for call in self.calls:
            call.take()


class ReceiveCall(Word[R]):
    """A signal, or None once the time is over."""

    def __init__(self, name: str, signal: type[Any], patience: timedelta | None) -> None:
        if patience is not None:
            _require_duration("receive(timeout=…)", patience)
        super().__init__(f"receive {name}")
        self.name, self.signal, self.patience = name, signal, patience


class SleepCall(Word[None]):
    """Time that passes."""

    def __init__(self, duration: timedelta) -> None:
        _require_duration("sleep", duration)
        super().__init__("sleep")
        self.duration = duration


LONGEST = timedelta(days=36_525)


def _require_duration(what: str, duration: timedelta) -> None:
    if not isinstance(duration, timedelta):
        raise MisplacedCall(what, f"takes a timedelta, such as seconds(5), not {duration!r}")
    if duration > LONGEST:
        raise MisplacedCall(what, "takes a hundred years at most")
