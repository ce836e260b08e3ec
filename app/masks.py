"""What of stored data anybody may see: everything but the values that are marked personal or secret."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import fields
from typing import Any

from app.catalogue import Catalogue
from domain.event import event_type
from domain.sensitive import MASK
from workflows.definition import Definition
from workflows.events import StoredEvent
from workflows.problem import refusal_classes
from workflows.sensitive import marks, masked

CHILD = ("child ", "undone ")
"""How the signals begin by which children tell how they ended."""

RESULTS = ("step-completed", "step-skipped", "operator-acted")


class Masks:
    """Knows the marks of every event, and of what the sagas take and give."""

    def __init__(self, catalogue: Catalogue, definitions: Iterable[Definition]) -> None:
        self._events = catalogue.events
        self._inputs: dict[tuple[str, int], Any] = {}
        self._outputs: list[Any] = []
        self._output: dict[tuple[str, int], Any] = {}
        self._results: defaultdict[str, list[Any]] = defaultdict(list)
        self._signals: defaultdict[str, list[Any]] = defaultdict(list)
        for definition in definitions:
            for name, payload in definition.signals.items():
                self._signals[name].append(payload)
            self._inputs[definition.name, definition.version] = definition.input
            self._outputs.append(definition.output)
            self._output[definition.name, definition.version] = definition.output
            for name, declared in definition.steps.items():
                self._results[name].append(declared.result)

    def event(self, stored: StoredEvent) -> Any:
        """An event's data as it may be shown."""
        data, cls = stored.data, self._events.get(stored.name)
        if cls is None or not isinstance(data, dict):
            return data
        where = marks(cls)
        if where and event_type(cls) != stored.type:
            data = _without_unknown(data, cls)
        return self._of_saga(stored.name, masked(data, where))

    def input(self, name: str, version: int, data: Any) -> Any:
        """What a saga was started with; of one that nobody here knows, nothing is shown."""
        return _of_known(self._inputs.get((name, version)), data)

    def result(self, name: str, version: int, data: Any) -> Any:
        """What came of a saga; of one that nobody here knows, nothing is shown."""
        return _of_known(self._output.get((name, version)), data)

    def facts(self, name: str, facts: Any) -> Any:
        """The facts of a refusal as they may be shown: without what any refusal of that name marks.

        Those of one that nobody here knows are all masked; other errors are stored without their marked values.
        """
        known = refusal_classes(name)
        if not known and not name[:1].isupper() and isinstance(facts, dict):
            return dict.fromkeys(facts, MASK)
        for cls in known:
            facts = masked(facts, marks(cls))
        return facts

    def _of_saga(self, name: str, data: dict[str, Any]) -> dict[str, Any]:
        """A saga's own events hold data of types that its definition knows."""
        if name == "saga-started":
            return data | {"input": self.input(data["name"], data["version"], data["input"])}
        if name == "signal-received" and str(data["signal"]).startswith(CHILD):
            return data | {"payload": self._of_child(data["payload"])}
        if name == "signal-received":
            return data | self._masked_by_any("payload", data, self._signals.get(str(data["signal"]), []))
        if name == "operator-acted" and data.get("step") is None:
            return data | self._masked_by_any("result", data, self._outputs)
        if name in RESULTS:
            return data | self._masked_by_any("result", data, self._results.get(str(data.get("step")), []))
        if name == "saga-completed":
            return data | self._masked_by_any("result", data, self._outputs)
        error = data.get("error")
        if isinstance(error, dict) and "facts" in error:
            return data | {"error": error | {"facts": self.facts(str(error.get("name")), error["facts"])}}
        return data

    def _of_child(self, told: Any) -> Any:
        """How a child ended, as it tells its parent."""
        error = told.get("error")
        shown = error and error | {"facts": self.facts(str(error["name"]), error.get("facts", {}))}
        return told | self._masked_by_any("result", told, self._outputs) | ({"error": shown} if error else {})

    def _masked_by_any(self, field: str, data: dict[str, Any], annotations: list[Any]) -> dict[str, Any]:
        if field not in data:
            return {}
        value = data[field]
        for annotation in annotations:
            value = masked(value, marks(annotation))
        return {field: value}


def _of_known(annotation: Any, data: Any) -> Any:
    if data is None:
        return None
    return MASK if annotation is None else masked(data, marks(annotation))


def _without_unknown(data: dict[str, Any], cls: type[Any]) -> dict[str, Any]:
    """An older or newer shape may hold a marked value under a name that is not known here."""
    known = {field.name for field in fields(cls)}
    return {name: value if name in known else MASK for name, value in data.items()}
