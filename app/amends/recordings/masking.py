"""Masks a recording: of each event and checkpoint only what is declared as no value of a business is kept as it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final, TypeAlias

from pydantic import JsonValue

from app.amends.recordings.stand_ins import StandIns
from app.amends.redaction.error_messages import ErrorMessageRedactor
from app.amends.redaction.redactor import REPORTED
from app.amends.schema.register import ShapeQuery, ShapeRegister
from domain.amends.event import event_type
from workflows.amends.compatibility.recorded_saga import (
    RecordedCheckpoint,
    RecordedEvent,
    RecordedSaga,
    saga_event_of,
)
from workflows.amends.engine.execution import COMPLETE
from workflows.amends.history import ValueTypeSource
from workflows.amends.history.events.children import FROM_CHILD
from workflows.amends.redaction.visibility import MaskCount
from workflows.amends.values.codec import dump

SagaTypes: TypeAlias = Mapping[str, tuple[str, int]]
"""The names and versions of sagas by their ids."""

KEPT: Final = frozenset({"step", "kind", "compensation", "name", "provider", "act", "by", "status", "arguments"})
"""Fields of a saga's events whose texts are names of code or words of Amends."""
IDS: Final = frozenset({"root", "child", "signal", "reference"})
"""Fields with ids and references of sagas, and names of signals: they are no marked values, but may repeat some."""


def masked_saga(recorded: RecordedSaga, register: ShapeRegister, types: SagaTypes, stand_ins: StandIns) -> RecordedSaga:
    """The recording with stand-ins for what is marked and for what nobody knows; its digests are those of before.

    Raises Unreadable for an event that the code here cannot read.
    """
    masking = _Masking(recorded.name, recorded.version, register, types, stand_ins)
    values = replace(
        recorded,
        input=masking.value(ValueTypeSource("input"), recorded.input),
        events=[masking.event(each) for each in recorded.events],
        checkpoints=[masking.checkpoint(each) for each in recorded.checkpoints],
    )
    return _without_repeats(values, stand_ins)


def _without_repeats(recorded: RecordedSaga, stand_ins: StandIns) -> RecordedSaga:
    """The recording without what its other texts repeat of the values that were replaced."""
    clear = stand_ins.elsewhere
    return replace(
        recorded,
        id=clear(recorded.id),
        root=clear(recorded.root),
        parent=clear(recorded.parent),
        input=clear(recorded.input),
        events=[replace(each, data=_fields_without_repeats(each.data, stand_ins)) for each in recorded.events],
        checkpoints=[
            replace(each, output=clear(each.output), error=each.error and _error_without_repeats(each.error, stand_ins))
            for each in recorded.checkpoints
        ],
    )


def _fields_without_repeats(data: Mapping[str, JsonValue], stand_ins: StandIns) -> dict[str, Any]:
    cleared: dict[str, Any] = {}
    for name, value in data.items():
        if name == "error" and isinstance(value, dict):
            cleared[name] = _error_without_repeats(value, stand_ins)
        elif name in KEPT or _is_of_amends(name) or (name == "signal" and not str(value).startswith(FROM_CHILD)):
            cleared[name] = value
        else:
            cleared[name] = stand_ins.elsewhere(value)
    return cleared


def _error_without_repeats(error: Mapping[str, Any], stand_ins: StandIns) -> dict[str, Any]:
    return {name: value if name in ("name", "code") else stand_ins.elsewhere(value) for name, value in error.items()}


def _is_of_amends(field: str) -> bool:
    """Whether a field holds a time: digits of a value may look like a part of one."""
    return field.endswith("_at") or field in ("since", "until")


class _Masking:
    """Masks the parts of one recording."""

    def __init__(self, name: str, version: int, register: ShapeRegister, types: SagaTypes, stand_ins: StandIns) -> None:
        self._name, self._version = name, version
        self._register, self._types, self._stand_ins = register, types, stand_ins
        self._messages = ErrorMessageRedactor(register)

    def event(self, event: RecordedEvent) -> RecordedEvent:
        """An event in its newest version."""
        read = saga_event_of(event)
        name, version = event_type(type(read))
        data = dump(read, type(read))
        values = type(read).value_types(data)
        fields: dict[str, Any] = {}
        for field, value in data.items():
            if field in values:
                fields[field] = self.value(values[field], value)
            elif field == "error" and isinstance(value, dict):
                fields[field] = self._error(value, "facts")
            elif isinstance(value, str) and field not in KEPT | IDS and not _is_of_amends(field):
                fields[field] = self._stand_ins.text(value)
            else:
                fields[field] = value
        return RecordedEvent(name, version, fields)

    def checkpoint(self, checkpoint: RecordedCheckpoint) -> RecordedCheckpoint:
        """A checkpoint: what came out of a step, or what it was told."""
        name, output = checkpoint.name, checkpoint.output
        if checkpoint.error is not None:
            return replace(checkpoint, error=self._error(checkpoint.error, "data"))
        signal = name.removeprefix("receive ")
        if signal != name and isinstance(output, dict):
            told = {key: self.value(ValueTypeSource("signal", signal), value) for key, value in output.items()}
            return replace(checkpoint, output=told)
        source = ValueTypeSource("output") if name == COMPLETE else ValueTypeSource("result", name)
        return replace(checkpoint, output=self.value(source, output))

    def value(self, source: ValueTypeSource, data: Any) -> Any:
        """A value whose type a saga declares."""
        if source.kind == "child":
            return self._report(source.name, data)
        name = f"{self._name}.{source.name}" if source.name else self._name
        return self._masked(ShapeQuery(source.kind, name, str(self._version)), data)

    def _masked(self, query: ShapeQuery, data: Any) -> Any:
        return (
            None if data is None else self._register.visibility(query).masked(data, MaskCount(), self._stand_ins.value)
        )

    def _error(self, error: Mapping[str, Any], facts: str) -> dict[str, Any]:
        """An error: its message may say anything, and its facts are what its class declares."""
        shown = dict(error) | {"message": self._stand_ins.text(str(error.get("message", "")))}
        if isinstance(known := error.get(facts), dict) and known:
            shown[facts] = self._masked(self._messages.shape_of(shown), known)
        return shown

    def _report(self, child: str, report: Any) -> Any:
        """What a child has told of its end."""
        if not isinstance(report, dict):
            return self._masked(ShapeQuery("output", "", "0"), report)
        name, version = self._types.get(child, ("", 0))
        shown = {field: report[field] for field in report if field in REPORTED}
        if shown.get("result") is not None:
            shown["result"] = self._masked(ShapeQuery("output", name, str(version)), shown["result"])
        if isinstance(shown.get("error"), dict):
            shown["error"] = self._error(shown["error"], "facts")
        if isinstance(shown.get("reason"), str):
            shown["reason"] = self._stand_ins.text(shown["reason"])
        return shown
