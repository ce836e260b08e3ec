"""Where sagas are started, signalled, cancelled and handled by operators: for the HTTP API, or for a command alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from pydantic import JsonValue, ValidationError
from pydantic_core import PydanticSerializationError

from domain.amends.errors import AmendsError, Conflict, DefinitionError, NotFound, StaleVersion
from domain.amends.event import Cause
from workflows.amends.history import (
    FINISHED,
    CancelRequested,
    OperatorActed,
    OperatorAction,
    OperatorResumed,
    SignalReceived,
    Status,
    saga_histories,
)
from workflows.amends.ids import name_and_version, new_id, require_workflow_id
from workflows.amends.ports.conflicts import TerminatedAction as TerminatedAction
from workflows.amends.ports.conflicts import nobody_waits, not_stuck, not_terminated, nothing_to_cancel, past_pivot
from workflows.amends.ports.event_store import (
    FeedCursor,
    NewEvent,
    RepeatedRequest,
    StoredAnswer,
    new_amends_event,
    repeated_answer,
)
from workflows.amends.ports.execution_log import StartRequest
from workflows.amends.ports.saga_store import RecordedStart, RefusedStart, Sagas, StartOutcome, StatusDetails
from workflows.amends.saga import Saga
from workflows.amends.start_request import start_request
from workflows.amends.values.codec import digest, dump, load, parse_json, stored_value
from workflows.amends.values.jsonb_comparison import as_jsonb
from workflows.amends.values.limits import Limits
from workflows.amends.values.refusals import require_distinct_refusals
from workflows.amends.values.storable import require_storable


class StartsRefused(AmendsError):
    """No saga {name} is started now: brake {brake} refuses that. Start it again once the brake is lifted."""

    name: str
    brake: str


class NoCodeHere(AmendsError):
    """This server has no code for {saga_type}. Nothing is done: try again, for a server that has it may answer then."""

    saga_type: str


@dataclass(frozen=True)
class StartAnswer:
    """What a start answers, the first time and every time after."""

    id: str
    name: str
    version: int
    status: str = "running"


class SagaClient:
    """Takes requests for the sagas that it has code for. `now` tells the time of the store."""

    def __init__(
        self,
        sagas: Sequence[Saga[Any, Any]],
        store: Sagas,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        limits: Limits = Limits(),
    ) -> None:
        self.sagas = {(saga.definition.name, saga.definition.version): saga for saga in sagas}
        for saga in sagas:
            for child in saga.definition.children:
                if (child.name, child.version) not in self.sagas:
                    raise DefinitionError(
                        f"saga {saga.definition.saga_type}", f"starts {child.saga_type}, which is not among the sagas"
                    )
        require_distinct_refusals()
        self._sagas, self._now, self._limits = store, now, limits

    def newest_definition(self, name: str) -> Saga[Any, Any]:
        """The newest version of a saga. Raises NotFound, listing those that there are."""
        versions = [version for known, version in self.sagas if known == name]
        if not versions:
            raise NotFound("workflow", name, f"There are: {', '.join(sorted({known for known, _ in self.sagas}))}.")
        return self.sagas[name, max(versions)]

    def start_request(self, saga: Saga[Any, Any], request: Any, id: str | None, cause: Cause) -> StartRequest:
        """A saga to be started with a request of its input type; it will be queued unless it is given an owner.

        Raises Invalid for an id that is none, and TooLarge or Unstorable for what cannot be kept.
        """
        if id is not None:
            require_workflow_id(id, "id")
        definition = saga.definition
        input = stored_value(request, definition.input, f"the input of {definition.name}", self._limits.value)
        return start_request(saga, input.value, input.data, id or str(new_id()), cause, self._now())

    def child_start_request(self, saga_type: str, given: JsonValue, id: str, cause: Cause) -> StartRequest:
        """A saga of a type, `name:version`, to be started by the one whose `cause` this is."""
        saga = self.sagas[name_and_version(saga_type)]
        request = load(given, saga.definition.input)
        return start_request(saga, request, given, id, cause, self._now(), cause.workflow_id)

    async def start(self, start: StartRequest) -> tuple[StartAnswer, bool]:
        """Start a saga, once per id: the same request again gives the same answer, and False.

        That is so also if the version of the saga, or the type of its input, has grown meanwhile. Its status is
        `queued` if a brake holds it. Raises Conflict if the id was used for something else, and
        StartsRefused by a brake.
        """
        outcome = await self._sagas.start(start)
        if isinstance(outcome, RefusedStart):
            raise StartsRefused(start.name, outcome.brake)
        if outcome in (StartOutcome.STARTED, StartOutcome.HELD):
            return StartAnswer(start.id, start.name, start.version, _status(outcome is StartOutcome.HELD)), True
        known = await self._sagas.recorded_start(start.id)
        if outcome is StartOutcome.TAKEN and not (known and self._is_same(start, known)):
            problem = f"The idempotency key {start.id!r} was used for another request. Use a new one."
            raise Conflict("idempotency", problem)
        version, held = (known.version, known.held) if known else (start.version, False)
        return StartAnswer(start.id, start.name, version, _status(held)), False

    def _is_same(self, start: StartRequest, known: RecordedStart) -> bool:
        """Whether a saga was started with the same request, by what its input means under the types of today."""
        definition = self.sagas[start.name, start.version].definition
        try:
            (before,) = parse_json(known.inputs)["positionalArgs"]
            given = dump(load(before, definition.input), definition.input)
        except (ValidationError, PydanticSerializationError):
            return False
        return known.name == start.name and digest([start.name, given]) == start.request

    def signal_class(self, id: str, name: str, version: int, status: Status, signal: str) -> type[Any]:
        """The class of a signal to a saga. Raises NotFound, listing those that it takes.

        Of a version that there is no code for here nobody knows that: raises Conflict if the saga is finished, and else
        NoCodeHere.
        """
        if (name, version) not in self.sagas and status in FINISHED:
            raise nobody_waits(id, status)
        return self.signal_class_of(name, version, signal)

    def signal_class_of(self, name: str, version: int, signal: str) -> type[Any]:
        """The class of a signal to sagas of a version. Raises NotFound, listing those it takes, and NoCodeHere."""
        saga = self.sagas.get((name, version))
        if saga is None:
            raise NoCodeHere(f"{name} version {version}")
        taken = saga.definition.signals
        if signal not in taken:
            raise NotFound("signal", signal, f"{name} takes: {', '.join(sorted(taken)) or 'none'}.")
        return taken[signal]

    def signal_payload_json(self, signal: str, payload: object, cls: type[Any]) -> Any:
        """A signal's payload as it is stored. Raises TooLarge, and Unstorable for what would not come back."""
        return stored_value(payload, cls, f"signal {signal}", self._limits.value).data

    async def signal(
        self, id: str, signal: str, payload: Any, cause: Cause, answer: StoredAnswer | None = None
    ) -> dict[str, Any]:
        """Send a saga what `signal_payload_json` made of a payload; returns the answer, also for a repeated request.

        Raises NotFound, and Conflict once the saga is finished.
        """
        event = new_amends_event(saga_histories.stream(id), SignalReceived(signal, payload), cause)
        found = await self._sagas.signal(id, signal, event, answer)
        if (done := _answer(found, answer, {"id": id, "signal": signal})) is not None:
            return done
        raise nobody_waits(id, found)

    async def cancel(
        self, id: str, name: str, version: int, reason: str, cause: Cause, answer: StoredAnswer | None = None
    ) -> dict[str, Any]:
        """Note that a saga is to be cancelled; it is compensated from its next step on, unless its pivot is quicker.

        Raises NotFound, or Conflict once it is finished or past its pivot.
        """
        pivots = self.pivots(name, version)
        event = new_amends_event(saga_histories.stream(id), CancelRequested(reason), cause)
        found = await self._sagas.cancel(id, pivots, reason, event, answer)
        if found is None:
            raise past_pivot(id, pivots)
        if (done := _answer(found, answer, {"id": id})) is not None:
            return done
        raise nothing_to_cancel(id, found)

    def pivots(self, name: str, version: int) -> list[str]:
        """The pivots of a saga, as far as there is code for it here."""
        saga = self.sagas.get((name, version))
        return [each.step.name for each in saga.definition.steps.values() if each.step.pivot] if saga else []

    async def handle_terminated(
        self, id: str, action: TerminatedAction, reason: str, cause: Cause, answer: StoredAnswer | None = None
    ) -> dict[str, Any]:
        """An operator's action on a saga that was terminated in DBOS's own tools: it goes on, or is compensated.

        Raises NotFound, or Conflict unless it was.
        """
        happened = OperatorResumed(reason) if action == "resume" else CancelRequested(reason)
        event = new_amends_event(saga_histories.stream(id), happened, cause)
        going, cancel = going_status(await self.standing(id)), None if action == "resume" else reason
        found = await self._sagas.apply_operator_action(id, None, ["abandoned"], event, going, answer, cancel)
        if (done := _answer(found, answer, {"id": id, "act": action})) is not None:
            return done
        raise not_terminated(id, found, action)

    async def handle_stuck(
        self,
        id: str,
        action: OperatorAction,
        reason: str,
        cause: Cause,
        result: Any = None,
        answer: StoredAnswer | None = None,
        stuck_at: int | None = None,
    ) -> dict[str, Any]:
        """An operator's action on a stuck saga; returns the answer, the same again for a repeated request.

        With `stuck_at`, the version of its history that tells where it is stuck, it is for nothing else.

        Raises NotFound, Conflict unless the saga is stuck, and TooLarge or Unstorable for the result.
        """
        while True:
            standing, event = await self.operator_event(id, action, reason, cause, result)
            if stuck_at not in (None, standing.stuck_at):
                raise Conflict("status", f"Workflow {id} has got stuck anew: look at it before you {action} it.")
            try:
                found = await self._sagas.apply_operator_action(
                    id, standing.stuck_at, ["stuck"], event, going_status(standing), answer
                )
            except StaleVersion:
                continue
            if (done := _answer(found, answer, {"id": id, "act": action})) is not None:
                return done
            raise not_stuck(id, found, action)

    async def operator_event(
        self, id: str, action: OperatorAction, reason: str, cause: Cause, result: Any = None
    ) -> tuple[StatusDetails, NewEvent]:
        """How a stuck saga stands, and the event of an operator's action on it; raises as `handle_stuck` does."""
        require_storable(result, "result", self._limits.value)
        standing = await self.standing(id)
        stuck = standing.stuck
        if standing.status != "stuck" or stuck is None:
            raise not_stuck(id, standing.status, action)
        acted = OperatorActed(action, reason, stuck.slot, stuck.compensation or stuck.step, as_jsonb(result))
        return standing, new_amends_event(saga_histories.stream(id), acted, cause)

    async def standing(self, id: str) -> StatusDetails:
        """How a saga stands. Raises NotFound."""
        standing = await self._sagas.status_details(id)
        if standing is None:
            raise NotFound("workflow", id)
        return standing


def going_status(standing: StatusDetails) -> Status:
    """The status of a saga that goes on."""
    return "compensating" if standing.is_compensating else "running"


def _answer(
    found: FeedCursor | Status | RepeatedRequest, answer: StoredAnswer | None, done: dict[str, Any]
) -> dict[str, Any] | None:
    """What a request is answered that was done, now or before; None for one that the saga's status does not allow."""
    if isinstance(found, RepeatedRequest):
        assert answer is not None
        return repeated_answer(answer.key, answer.digest, found)
    return done | {"position": str(found)} if isinstance(found, FeedCursor) else None


def _status(held: bool) -> str:
    return "queued" if held else "running"
