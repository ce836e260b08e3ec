"""Redacts stored data: what is marked personal or secret is masked, and what no server here knows."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import replace
from typing import Any, Final, Literal, NamedTuple, Protocol, TypeVar

from app.amends.redaction.error_messages import ErrorMessageRedactor
from app.amends.schema.register import ShapeQuery, ShapeRegister
from app.amends.schema.shapes import Kind
from app.amends.store.aggregates.difference import Change
from domain.amends.errors import Invalid
from domain.amends.sensitive import MASK
from workflows.amends.history import Problem, ValueTypeSource, saga_event, saga_histories
from workflows.amends.ports.event_store import StoredEvent
from workflows.amends.redaction.visibility import MaskCount, Visibility

T = TypeVar("T")

OVERVIEW: Final = ("workflow_overview", ("reason", "failing_error"))
"""The read model that repeats reasons of sagas, and its columns that do."""

REPORTED: Final = ("status", "result", "reason", "error")
"""The fields of a child's report."""

Masked = Literal["marked", "unknown"]


class RedactedEvent(NamedTuple):
    """The redacted data of an event.

    `masked` is None if all is in clear, `marked` if values are personal or secret, and `unknown` if some are masked
    only because this server does not know what they are: from one that does, the same event is read in clear.
    """

    data: Any
    masked: Masked | None


class SagaLookup(Protocol):
    """The sagas behind ids, and the errors that they met."""

    async def look_up(self, ids: Collection[str]) -> None:
        """Have these at hand."""
        ...

    def saga_type(self, id: str) -> tuple[str, int] | None:
        """A saga's name and version; None if it is not known."""
        ...

    async def look_up_errors(self, ids: Collection[str], names: Collection[str]) -> None:
        """Have the errors of these names at hand that these sagas, their parents and children met."""
        ...

    def errors(self, id: str) -> Sequence[dict[str, Any]] | None:
        """These errors, with their facts; None if they were not looked up."""
        ...


class Redactor:
    """Redacts values by what the register of shapes knows of them."""

    def __init__(self, register: ShapeRegister, sagas: SagaLookup) -> None:
        self.register, self._sagas, self._messages = register, sagas, ErrorMessageRedactor(register)
        self._look, self._missing = MaskCount(), set[ShapeQuery]()

    async def serialise_redacted(
        self, serialise: Callable[[], T], events: Sequence[StoredEvent] = (), sagas: Collection[str] = ()
    ) -> T:
        """Serialise with this redactor, by all that servers know by now: of values, and of the sagas of these events.

        `sagas` are further ones whose reasons or errors are shown. Where this server lacks a shape, the others are
        asked for it once more. Raises Unavailable.
        """
        await self.register.refresh()
        await self._sagas.look_up({id for event in events for id in _sagas_of(event)})
        with_errors = {*sagas, *(id for event in events if (id := _saga_with_errors(event)))}
        await self._look_up_errors(with_errors)
        self._missing.clear()
        made = serialise()
        if self._missing and await self.register.look_for_missing(list(self._missing)):
            await self._look_up_errors(with_errors)
            made = serialise()
        return made

    async def _look_up_errors(self, ids: Collection[str]) -> None:
        if ids and (names := self.register.errors_with_marks()):
            await self._sagas.look_up_errors(ids, names)

    def event(self, stored: StoredEvent) -> RedactedEvent:
        """The data of an event."""
        self._look, query = MaskCount(), ShapeQuery("event", stored.name, str(stored.schema_version))
        form, data = self.register.visibility(query), stored.data
        shown = self._masked(query, data)
        if not form.unknown and isinstance(data, dict) and isinstance(shown, dict):
            of_saga = self._of_saga(stored.name, data, saga_histories.key(stored.stream) or "")
            shown |= {name: value for name, value in of_saga.items() if name in data}
        return RedactedEvent(shown, "unknown" if self._look.unknown else "marked" if self._look.marked else None)

    def input(self, name: str, version: int, data: Any) -> Any:
        """The input of a saga."""
        return self._of(("input", name, version), data)

    def result(self, name: str, version: int, data: Any) -> Any:
        """The result of a saga."""
        return self._of(("output", name, version), data)

    def state(self, category: str, state: Any) -> Any:
        """The state of an aggregate."""
        return self._of(("state", category, 1), state)

    def changes(self, category: str, changes: Sequence[Change]) -> list[Change]:
        """Changes of a state; of a value that is masked as a whole that it changed, but not where in it."""
        form = self.register.visibility(ShapeQuery("state", category, "1"))
        found: dict[str, Change] = {}
        for change in changes:
            shown = _change(form, change)
            found.setdefault(shown.path, shown)
        return list(found.values())

    def row(self, projection: str, row: Any) -> Any:
        """A row of a read model, of whichever of its versions."""
        shown, (overview, reasons) = self._masked(ShapeQuery("row", projection), row), OVERVIEW
        if projection == overview and isinstance(row, dict):
            shown |= {name: self.reason(shown[name], str(row.get("id"))) for name in reasons if name in shown}
        return shown

    async def require_unmarked(self, projection: str, columns: Collection[str]) -> None:
        """Raise Invalid for columns that are masked: a search by their values would reveal these."""
        await self.register.refresh()
        form = self.register.visibility(ShapeQuery("row", projection))
        reasons = OVERVIEW[1] if projection == OVERVIEW[0] and self.register.errors_with_marks() else ()
        if hidden := next((name for name in columns if name in reasons or any(form.field(name).marks())), None):
            raise Invalid(hidden, f"is masked in {projection}: rows cannot be looked for by it")

    def sagas_with_reasons(self, projection: str, rows: Sequence[dict[str, Any]]) -> list[str]:
        """The ids of the sagas whose reasons stand in rows of a read model."""
        overview, reasons = OVERVIEW
        found = rows if projection == overview else ()
        return [str(row["id"]) for row in found if any(row.get(name) is not None for name in reasons)]

    def problem(self, problem: Problem, saga: str) -> dict[str, Any]:
        """An error of a saga without the values of marked facts, also where its message repeats them."""
        return self._error(vars(problem), saga)

    def reason(self, text: Any, saga: str) -> Any:
        """A reason or a value of a saga without the marked values of its errors; MASK where these are not known."""
        if text is None or not saga or not self.register.errors_with_marks():
            return text
        errors = self._sagas.errors(saga)
        return MASK if errors is None else self._messages.redact_text(text, errors)

    def _error(self, error: dict[str, Any], saga: str) -> dict[str, Any]:
        facts = self._masked(self._messages.shape_of(error), error.get("facts") or {})
        cleaned = {"message": self._messages.redact_message(error), "facts": self._messages.redact_facts(error, facts)}
        return error | {name: self.reason(value, saga) for name, value in cleaned.items()}

    def _of(self, what: tuple[Kind, str, int], data: Any) -> Any:
        kind, name, version = what
        return None if data is None else self._masked(ShapeQuery(kind, name, str(version)), data)

    def _masked(self, query: ShapeQuery, data: Any) -> Any:
        look = MaskCount()
        shown = self.register.visibility(query).masked(data, look)
        self._look.marked |= look.marked
        self._look.unknown |= look.unknown
        if look.unknown:
            self._missing.add(query)
        return shown

    def _of_saga(self, name: str, data: dict[str, Any], saga: str) -> dict[str, Any]:
        """The fields of a saga's own events whose types only its definition knows, and those that repeat errors."""
        event, error = saga_event(name), data.get("error")
        shown = {field: self._value(value, data.get(field), saga) for field, value in event.value_types(data).items()}
        if isinstance(error, dict) and "facts" in error:
            shown["error"] = self._error(error, saga)
        if "reason" in data and event.repeats_errors:
            shown["reason"] = self._reason_of(data, saga)
        return shown

    def _value(self, value: ValueTypeSource, data: Any, saga: str) -> Any:
        if value.kind == "child":
            return self._of_child(value.name, data, saga)
        of, version = value.saga or self._sagas.saga_type(saga) or ("", 0)
        return self._of((value.kind, f"{of}.{value.name}" if value.name else of, version), data)

    def _reason_of(self, data: dict[str, Any], saga: str) -> Any:
        error = data.get("error")
        own = [error] if isinstance(error, dict) else []
        return self.reason(self._messages.redact_text(data.get("reason"), own), saga)

    def _of_child(self, child: str, report: Any, saga: str) -> Any:
        """The report of a child to its parent about how it ended."""
        if not isinstance(report, dict):
            return MASK
        name, version = self._sagas.saga_type(child) or ("", 0)
        shown = {key: value if key in REPORTED else MASK for key, value in report.items()}
        if report.get("result") is not None:
            shown["result"] = self._of(("output", name, version), report["result"])
        if isinstance(report.get("error"), dict):
            shown["error"] = self._error(report["error"], saga)
        return shown | ({"reason": self._reason_of(report, saga)} if "reason" in report else {})


def _change(form: Visibility, change: Change) -> Change:
    start, *steps = change.path.split("/")
    for number, step in enumerate(steps):
        if form.marked or form.unknown:
            return Change("/".join([start, *steps[:number]]), MASK, MASK)
        form = form.at_path_step(step.replace("~1", "/").replace("~0", "~"))
    before, after = (
        None if value is None else form.masked(value, MaskCount()) for value in (change.before, change.after)
    )
    return replace(change, before=before, after=after)


def _values(event: StoredEvent) -> Collection[ValueTypeSource]:
    """The values of an event whose types only a saga's definition knows."""
    saga, data = saga_histories.key(event.stream), event.data
    return saga_event(event.name).value_types(data).values() if saga and isinstance(data, dict) else ()


def _sagas_of(event: StoredEvent) -> Iterator[str]:
    """The ids of the sagas whose definitions an event needs to be redacted by."""
    for value in _values(event):
        if value.kind == "child":
            yield value.name
        elif value.saga is None:
            yield saga_histories.key(event.stream) or ""


def _saga_with_errors(event: StoredEvent) -> str | None:
    """The id of the saga whose errors an event may repeat."""
    data, saga = event.data, saga_histories.key(event.stream)
    repeats = isinstance(data, dict) and ("reason" in data or "error" in data)
    return saga if repeats or any(value.kind == "child" for value in _values(event)) else None
