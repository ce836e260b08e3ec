"""What people do to a simulated saga: they cancel it, send it signals, decide about it, and set brakes."""

from __future__ import annotations

from collections.abc import Coroutine
from datetime import datetime
from typing import Any, Final, TypeVar

from domain.amends.errors import DefinitionError
from domain.amends.event import Cause
from workflows.amends.brakes.brake import BrakeScope, WhenStarted
from workflows.amends.executor.execution_log import ProcessContext
from workflows.amends.history import (
    CancelRequested,
    OperatorActed,
    OperatorAction,
    SignalReceived,
    Status,
    saga_histories,
)
from workflows.amends.ports.event_store import new_amends_event
from workflows.amends.simulation.crashing import CrashingSagas
from workflows.amends.values.codec import stored_value
from workflows.amends.values.limits import Limits

T = TypeVar("T")

ID: Final = "simulated"
"""The id of a saga that is given none."""


class People:
    """What a simulation is told from outside."""

    store: CrashingSagas
    limits: Limits
    _process: ProcessContext

    @property
    def commits(self) -> int:
        """How many commits there were."""
        return self.store.commits

    @property
    def _now(self) -> datetime:
        return self.store.clock.now

    def cancel(self, reason: str, at: int = 0, id: str = ID) -> None:
        """Want the saga cancelled: now, or just after the commit with this number, counted from 1."""

        def cancel() -> None:
            event = new_amends_event(saga_histories.stream(id), CancelRequested(reason), Cause())
            at_once(self.store.cancel(id, (), reason, event, None))

        if at:
            self.store.after[self.commits + at] = cancel
        else:
            cancel()

    def signal(self, signal: object, id: str = ID) -> None:
        """Send the saga a signal, early or late."""
        name: str | None = getattr(signal, "__signal__", None)
        if name is None:
            raise DefinitionError(type(signal).__name__, "is no signal: decorate its class with @signal(name)")
        received = SignalReceived(name, stored_value(signal, type(signal), f"signal {name}", self.limits.value).data)
        event = new_amends_event(saga_histories.stream(id), received, Cause())
        at_once(self.store.signal(id, name, event, None))

    def handle_stuck(self, action: OperatorAction, reason: str = "simulated", result: Any = None, id: str = ID) -> None:
        """Decide about a stuck saga as an operator would; `run` then goes on with it."""
        standing = at_once(self.store.status_details(id))
        assert standing is not None, f"there is no saga {id}"
        assert standing.stuck is not None, f"saga {id} is not stuck"
        stuck = standing.stuck
        acted = OperatorActed(action, reason, stuck.slot, stuck.compensation or stuck.step, result)
        event = new_amends_event(saga_histories.stream(id), acted, Cause())
        going: Status = "compensating" if standing.is_compensating else "running"
        at_once(self.store.apply_operator_action(id, standing.stuck_at, [standing.status], event, going, None))

    def hold(self, scope: BrakeScope, compensations: bool = False, starts: WhenStarted = "queue") -> str:
        """Set a brake as an operator would; what it holds waits until `lift`. Returns its id."""
        id = self.store.hold(scope, starts, compensations)
        self._process.brakes.brakes = tuple(self.store.brakes_in_force())
        return id

    def lift(self, brake: str) -> None:
        """Lift a brake; `run` then goes on with what waited at it."""
        self.store.lift(brake)
        self._process.brakes.brakes = tuple(self.store.brakes_in_force())
        at_once(self.store.release_held(len(self.store.rows)))


def at_once(coroutine: Coroutine[Any, Any, T]) -> T:
    """What a coroutine returns that waits for nothing, as those of sagas in memory."""
    try:
        coroutine.send(None)
    except StopIteration as ended:
        result: T = ended.value
        return result
    raise AssertionError("it waits for something")
