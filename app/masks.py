"""What of stored data anybody may see: everything but what is marked personal or secret, and what nobody knows."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import replace
from typing import Any, Final, Literal, NamedTuple, Protocol, TypeVar

from app.register import Register, Wanted
from app.shapes import Kind
from app.store.difference import Change
from domain.sensitive import MASK
from workflows.events import StoredEvent
from workflows.sensitive import cleaned, texts
from workflows.shapes import Form, Look
from workflows.story import Problem, stories

T = TypeVar("T")

CHILD: Final = ("child ", "undone ")
"""How the signals begin by which children tell how they ended."""
OF_SAGAS: Final = ("step-completed", "operator-acted", "saga-completed", "signal-received")
"""Events that hold values whose types only the saga knows."""

TOLD: Final = ("status", "result", "reason", "error")
"""What children tell."""

Masked = Literal["marked", "unknown"]


class Shown(NamedTuple):
    """An event's data as it may be shown.

    `masked` is None if all is in clear, `marked` if values are personal or secret, and `unknown` if some are masked
    only because this server does not know what they are: from one that does, the same event is read in clear.
    """

    data: Any
    masked: Masked | None


class Sagas(Protocol):
    """Which saga an id is of."""

    async def look_up(self, ids: Collection[str]) -> None:
        """See to it that these are at hand."""
        ...

    def of(self, id: str) -> tuple[str, int] | None:
        """A saga's name and version, None if nobody knows."""
        ...


class Masks:
    """Shows values by what the register knows of them."""

    def __init__(self, register: Register, sagas: Sagas) -> None:
        self.register, self._sagas = register, sagas
        self._look, self._missing = Look(), set[Wanted]()

    async def shown(self, show: Callable[[], T], events: Sequence[StoredEvent] = ()) -> T:
        """What `show` makes by these masks, with all that servers know by now: of values and of the sagas of events.

        Where something is known to nobody here, it is asked once more whether others know it. Raises Unavailable.
        """
        await self.register.fresh()
        await self._sagas.look_up({id for event in events for id in _sagas_of(event)})
        self._missing.clear()
        made = show()
        if self._missing and await self.register.learns(list(self._missing)):
            made = show()
        return made

    def event(self, stored: StoredEvent) -> Shown:
        """An event's data as it may be shown."""
        self._look, wanted = Look(), Wanted("event", stored.name, str(stored.schema_version))
        form, data = self.register.form(wanted), stored.data
        shown = self._masked(wanted, data)
        if not form.unknown and isinstance(data, dict) and isinstance(shown, dict):
            of_saga = self._of_saga(stored.name, data, self._sagas.of(stories.key(stored.stream) or ""))
            shown |= {name: value for name, value in of_saga.items() if name in data}
        return Shown(shown, "unknown" if self._look.unknown else "marked" if self._look.marked else None)

    def input(self, name: str, version: int, data: Any) -> Any:
        """What a saga was started with."""
        return self._of(("input", name, version), data)

    def result(self, name: str, version: int, data: Any) -> Any:
        """What came of a saga."""
        return self._of(("output", name, version), data)

    def state(self, category: str, state: Any) -> Any:
        """The state of an aggregate."""
        return self._of(("state", category, 1), state)

    def changes(self, category: str, changes: Sequence[Change]) -> list[Change]:
        """What changed of a state; of what is masked as a whole, that it changed, but not where in it."""
        form = self.register.form(Wanted("state", category, "1"))
        found: dict[str, Change] = {}
        for change in changes:
            shown = _change(form, change)
            found.setdefault(shown.path, shown)
        return list(found.values())

    def row(self, projection: str, row: Any) -> Any:
        """A row of a read model, of whichever of its versions."""
        return self._masked(Wanted("row", projection), row)

    def problem(self, problem: Problem) -> dict[str, Any]:
        """An error, without the values of its facts that are marked by now, also where its message says them."""
        return self._error(vars(problem))

    def said(self, text: str | None, problem: Problem | None) -> str | None:
        """What is said because of an error, without the marked values of its facts."""
        if text is None or problem is None:
            return text
        said: str = cleaned(text, self._hidden(vars(problem)))
        return said

    def _error(self, error: dict[str, Any]) -> dict[str, Any]:
        shown = self._masked(self._facts_of(error), error.get("facts") or {})
        return error | {"message": cleaned(error.get("message"), self._hidden(error)), "facts": shown}

    def _hidden(self, error: dict[str, Any]) -> tuple[str, ...]:
        """The values of an error's facts that are marked by now, and stand in what was said when they were not."""
        return tuple(texts(self.register.form(self._facts_of(error)).hidden(error.get("facts"))))

    def _facts_of(self, error: dict[str, Any]) -> Wanted:
        refusal, other = Wanted("refusal", str(error.get("name"))), Wanted("error", str(error.get("name")))
        return other if self.register.form(refusal).unknown and not self.register.form(other).unknown else refusal

    def _of(self, what: tuple[Kind, str, int], data: Any) -> Any:
        kind, name, version = what
        return None if data is None else self._masked(Wanted(kind, name, str(version)), data)

    def _masked(self, wanted: Wanted, data: Any) -> Any:
        look = Look()
        shown = self.register.form(wanted).masked(data, look)
        self._look.marked |= look.marked
        self._look.unknown |= look.unknown
        if look.unknown:
            self._missing.add(wanted)
        return shown

    def _of_saga(self, name: str, data: dict[str, Any], saga: tuple[str, int] | None) -> dict[str, Any]:
        """What a saga's own events hold of types that only its definition knows."""
        error, (of, version) = data.get("error"), saga or ("", 0)
        signal, step = str(data.get("signal")), data.get("step")
        if isinstance(error, dict) and "facts" in error:
            return {"error": self._error(error), "reason": cleaned(data.get("reason"), self._hidden(error))}
        if name == "saga-started":
            return {"input": self._of(("input", str(data.get("name")), data.get("version", 0)), data.get("input"))}
        if name == "signal-received":
            if signal.startswith(CHILD):
                return {"payload": self._of_child(signal, data.get("payload"))}
            return {"payload": self._of(("signal", f"{of}.{signal}", version), data.get("payload"))}
        if name in OF_SAGAS:
            what: tuple[Kind, str, int] = (
                ("output", of, version) if step is None else ("result", f"{of}.{step}", version)
            )
            return {"result": self._of(what, data.get("result"))}
        return {}

    def _of_child(self, signal: str, told: Any) -> Any:
        """How a child ended, as it tells its parent."""
        if not isinstance(told, dict):
            return MASK
        name, version = self._sagas.of(signal.partition(" ")[2]) or ("", 0)
        shown = {key: value if key in TOLD else MASK for key, value in told.items()}
        if told.get("result") is not None:
            shown["result"] = self._of(("output", name, version), told["result"])
        return shown | ({"error": self._error(told["error"])} if isinstance(told.get("error"), dict) else {})


def _change(form: Form, change: Change) -> Change:
    start, *steps = change.path.split("/")
    for number, step in enumerate(steps):
        if form.marked or form.unknown:
            return Change("/".join([start, *steps[:number]]), MASK, MASK)
        form = form.step(step.replace("~1", "/").replace("~0", "~"))
    before, after = (None if value is None else form.masked(value, Look()) for value in (change.before, change.after))
    return replace(change, before=before, after=after)


def _sagas_of(event: StoredEvent) -> Iterator[str]:
    """The ids of the sagas that have to be known for an event to be shown."""
    if event.name in OF_SAGAS and (saga := stories.key(event.stream)):
        yield saga
    if event.name == "signal-received" and isinstance(event.data, dict):
        signal = str(event.data.get("signal"))
        yield from [signal.partition(" ")[2]] if signal.startswith(CHILD) else []
