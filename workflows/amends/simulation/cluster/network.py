"""The network of a cluster: what is sent takes its time, is lost on its way there or back, or arrives long after."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any, Final, TypeVar

from domain.amends.errors import Unavailable
from workflows.amends.simulation.cluster.virtual_time import Timeline, VirtualLoop

T = TypeVar("T")

QUICK_SECONDS: Final = 0.01
"""A way that is shorter than this is a quick one."""
BACK_SECONDS: Final = 0.02
"""How long a sender waits at least before it sends again what was lost."""


@dataclass(frozen=True)
class NetworkConditions:
    """How the network is: of all requests and answers so many are lost or slow; the rest takes some milliseconds.

    `late` requests are given up by their sender, who sends them again, and arrive all the same, up to `longest` seconds
    later: also when the sender does not live any more.
    """

    lost_requests: float = 0.0
    lost_answers: float = 0.0
    slow: float = 0.0
    late: float = 0.0
    longest: float = 2.0
    failing: float = 0.0
    """Of the calls to other systems so many fail over there, before or after they have taken effect."""


FAIR: Final = NetworkConditions()


@dataclass(frozen=True)
class FaultTrap:
    """Something goes wrong with the move of this number: a commit, or a call to another system, of whichever server.

    It arrives `late`, in seconds; never, if that is None. Its sender is killed, or paused for so many seconds, once it
    was sent, or, if `served`, only once it has arrived. If it `cancels`, somebody wants a saga cancelled just then.
    """

    number: int
    late: float | None
    kills: bool
    served: bool
    seconds: float
    cancels: bool = False


class Network:
    """The network of one history. `weather` is as the faults say, until they end; `cut` are times when nobody gets
    through to `where`."""

    def __init__(self, timeline: Timeline, weather: NetworkConditions = FAIR) -> None:
        self.timeline, self.weather = timeline, weather
        self._cut: dict[str, list[tuple[float, float]]] = {}
        self.traps: dict[int, FaultTrap] = {}
        self.moves = 0
        self.caught: Callable[[FaultTrap, VirtualLoop], object] = _nobody
        """Called when somebody has walked into a trap."""

    def next_move(self) -> FaultTrap | None:
        """A server makes its next move; returns the trap that it walks into."""
        self.moves += 1
        return self.traps.pop(self.moves, None)

    def cut(self, where: str, since: float, seconds: float) -> None:
        """Nobody gets through to a place for so many seconds."""
        self._cut.setdefault(where, []).append((since, since + seconds))

    def clear(self) -> None:
        """From now on all is well."""
        self.weather = FAIR
        self._cut.clear()
        self.traps.clear()

    @property
    def is_fair(self) -> bool:
        """Whether nothing is lost, late or cut off any more."""
        return self.weather is FAIR and not self._cut

    def is_cut(self, where: str) -> bool:
        return any(since <= self.timeline.now < until for since, until in self._cut.get(where, ()))


class NetworkLink:
    """The way of one process to one place, such as the store."""

    def __init__(self, network: Network, loop: VirtualLoop, where: str, dice: Random) -> None:
        self._network, self._loop, self._where, self._dice = network, loop, where, dice
        self._timeline = network.timeline

    async def ask(self, serve: Callable[[], T], patience: float | None = None, moves: bool = False) -> T:
        """What `serve` returns or raises over there, or what a task of its making comes to. Sent again until answered.

        It may be served several times. With `patience`, raises Unavailable if nobody answers in so many seconds: it may
        have been served all the same. `moves` says that it changes something, so that traps are laid for it.
        """
        loop, wait = self._loop, BACK_SECONDS
        since = loop.time()
        while True:
            answer = loop.create_future()
            self._send(serve, answer, moves)
            timer = None
            if patience is not None:
                timer = loop.call_later(max(since + patience - loop.time(), 0.0), _lost, answer)
            try:
                found: T | _Lost = await answer
            finally:
                if timer:
                    timer.cancel()
            if not isinstance(found, _Lost):
                return found
            if patience is not None and loop.time() - since + wait > patience:
                raise Unavailable(round(loop.time() - since, 1))
            await asyncio.sleep(wait * self._dice.uniform(0.75, 1.25))
            wait = min(2 * wait, 1.0)

    async def ask_once(self, serve: Callable[[], T], patience: float, moves: bool = False) -> T:
        """The same, sent once. Raises TimeoutError."""
        answer = self._loop.create_future()
        self._send(serve, answer, moves)
        timer = self._loop.call_later(patience, _lost, answer)
        found: T | _Lost = await answer
        timer.cancel()
        if isinstance(found, _Lost):
            raise TimeoutError(f"{self._where} has not answered within {patience:g} s")
        return found

    def _send(self, serve: Callable[[], object], answer: asyncio.Future[Any], moves: bool) -> None:
        dice, weather, timeline = self._dice, self._network.weather, self._timeline
        there, back = dice.uniform(0.0005, 0.004), dice.uniform(0.0005, 0.004)
        if moves and (trap := self._network.next_move()):
            self._trapped(trap, serve, answer, there, back)
            return
        if weather is FAIR:
            self._pass(serve, answer, there, back, moves)
            return
        if dice.random() < weather.slow:
            there += dice.uniform(0, weather.longest)
        if dice.random() < weather.slow:
            back += dice.uniform(0, weather.longest)
        fate = dice.random()
        if fate < weather.lost_requests:
            timeline.after(dice.uniform(0.01, 0.5), self._deliver, answer, LOST)
        elif fate < weather.lost_requests + weather.late:
            timeline.after(dice.uniform(0.01, 0.5), self._deliver, answer, LOST)
            timeline.after(dice.uniform(0.01, weather.longest), self._arrive, serve, None, back)
        else:
            heard = None if dice.random() < weather.lost_answers else answer
            if heard is None:
                timeline.after(there + dice.uniform(0.01, 0.5), self._deliver, answer, LOST)
            self._pass(serve, heard, there, back, moves)

    def _trapped(
        self, trap: FaultTrap, serve: Callable[[], object], answer: asyncio.Future[Any], there: float, back: float
    ) -> None:
        timeline, late = self._timeline, there + (trap.late or 0.0)
        timeline.after(late if trap.served else 0.0, self._network.caught, trap, self._loop)
        if trap.late is not None:
            timeline.after(late, self._arrive, serve, answer, back)
        elif not trap.kills:
            timeline.after(self._dice.uniform(0.01, 0.5), self._deliver, answer, LOST)

    def _pass(
        self, serve: Callable[[], object], answer: asyncio.Future[Any] | None, there: float, back: float, moves: bool
    ) -> None:
        """Let a request arrive. What only looks is served at once, where it would not take long: that costs less."""
        if moves or there > QUICK_SECONDS:
            self._timeline.after(there, self._arrive, serve, answer, back)
        else:
            self._arrive(serve, answer, there + back)

    def _arrive(self, serve: Callable[[], object], answer: asyncio.Future[Any] | None, back: float) -> None:
        if self._network.is_cut(self._where):
            if answer is not None:
                self._timeline.after(back, self._deliver, answer, LOST)
            return
        said: object
        try:
            said = serve()
        except BaseException as error:  # what ends an execution is an answer too
            said = _Raised(error)
        if isinstance(said, asyncio.Task):
            said.add_done_callback(lambda task: self._answer(answer, _result(task), back))
        else:
            self._answer(answer, said, back)

    def _answer(self, answer: asyncio.Future[Any] | None, said: object, back: float) -> None:
        if answer is not None:
            self._timeline.after(back, self._deliver, answer, said)

    def _deliver(self, answer: asyncio.Future[Any], said: object) -> None:
        self._loop.call_soon(_answered, answer, said)


def _nobody(*_: object) -> None:
    """Nobody wants to know."""


class _Lost:
    """Nobody knows whether it arrived."""


LOST: Final = _Lost()


@dataclass(frozen=True)
class _Raised:
    error: BaseException


def _result(task: asyncio.Task[Any]) -> object:
    if task.cancelled():
        return LOST
    error = task.exception()
    return task.result() if error is None else _Raised(error)


def _lost(answer: asyncio.Future[Any]) -> None:
    _answered(answer, LOST)


def _answered(answer: asyncio.Future[Any], said: object) -> None:
    if answer.done():
        return
    if isinstance(said, _Raised):
        answer.set_exception(said.error)
    else:
        answer.set_result(said)
