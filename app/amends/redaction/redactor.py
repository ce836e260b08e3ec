"""What of stored data anybody may see: everything but what is marked personal or secret, and what nobody knows."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import replace
from typing import Any, Final, Literal, NamedTuple, Protocol, TypeVar

from app.amends.redaction.sentences import Sentences
from app.amends.schema.register import Register, Wanted
from app.amends.schema.shapes import Kind
from app.amends.store.aggregates.difference import Change
from domain.amends.errors import Invalid
from domain.amends.sensitive import MASK
from workflows.amends.history import Problem, saga_histories
from workflows.amends.ports.event_store import StoredEvent
from workflows.amends.redaction.forms import Form, Look

T = TypeVar("T")

CHILD: Final = ("child ", "undone ")
"""How the signals begin by which children tell how they ended."""
OF_SAGAS: Final = ("step-completed", "operator-acted", "saga-completed", "signal-received")
"""Events that hold values whose types only the saga knows."""

OVERVIEW: Final = ("workflow_overview", ("reason", "failing_error"))
"""The read model that repeats what was said of sagas, and where it does."""

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

    async def look_up_errors(self, ids: Collection[str], names: Collection[str]) -> None:
        """See to it that the errors of these names are at hand that these sagas, their parents and children met."""
        ...

    def errors(self, id: str) -> Sequence[dict[str, Any]] | None:
        """These errors, with their facts; None if they were not looked up."""
        ...


class Redactor:
    """Shows values by what the register knows of them."""

    def __init__(self, register: Register, sagas: Sagas) -> None:
        self.register, self._sagas, self._sentences = register, sagas, Sentences(register)
        self._look, self._missing = Look(), set[Wanted]()

    async def shown(self, show: Callable[[], T], events: Sequence[StoredEvent] = (), told: Collection[str] = ()) -> T:
        """What `show` makes by these masks, with all that servers know by now: of values and of the sagas of events.

        `told` are further sagas of which is shown what was said of them. Where something is known to nobody here, it is
        asked once more whether others know it. Raises Unavailable.
        """
        await self.register.fresh()
        await self._sagas.look_up({id for event in events for id in _sagas_of(event)})
        said = {*told, *(id for event in events if (id := _said_of(event)))}
        await self._look_up_errors(said)
        self._missing.clear()
        made = show()
        if self._missing and await self.register.learns(list(self._missing)):
            await self._look_up_errors(said)
            made = show()
        return made

    async def _look_up_errors(self, ids: Collection[str]) -> None:
        if ids and (names := self.register.telling()):
            await self._sagas.look_up_errors(ids, names)

    def event(self, stored: StoredEvent) -> Shown:
        """An event's data as it may be shown."""
        self._look, wanted = Look(), Wanted("event", stored.name, str(stored.schema_version))
        form, data = self.register.form(wanted), stored.data
        shown = self._masked(wanted, data)
        if not form.unknown and isinstance(data, dict) and isinstance(shown, dict):
            of_saga = self._of_saga(stored.name, data, saga_histories.key(stored.stream) or "")
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
        shown, (overview, said) = self._masked(Wanted("row", projection), row), OVERVIEW
        if projection == overview and isinstance(row, dict):
            shown |= {name: self.said(shown[name], str(row.get("id"))) for name in said if name in shown}
        return shown

    async def require_shown(self, projection: str, columns: Collection[str]) -> None:
        """Refuse to look for values of columns that are masked: what is found would tell them. Raises Invalid."""
        await self.register.fresh()
        form = self.register.form(Wanted("row", projection))
        said = OVERVIEW[1] if projection == OVERVIEW[0] and self.register.telling() else ()
        if hidden := next((name for name in columns if name in said or any(form.field(name).marks())), None):
            raise Invalid(hidden, f"is masked in {projection}: rows cannot be looked for by it")

    def said_in(self, projection: str, rows: Sequence[dict[str, Any]]) -> list[str]:
        """The sagas of which something is said in rows of a read model."""
        overview, said = OVERVIEW
        told = rows if projection == overview else ()
        return [str(row["id"]) for row in told if any(row.get(name) is not None for name in said)]

    def problem(self, problem: Problem, saga: str) -> dict[str, Any]:
        """An error of a saga, without the values of facts that are marked by now, also where its message says them."""
        return self._error(vars(problem), saga)

    def said(self, said: Any, saga: str) -> Any:
        """What was said of a saga, without the marked values of what it met; MASK where it is not known what it met."""
        if said is None or not saga or not self.register.telling():
            return said
        errors = self._sagas.errors(saga)
        return MASK if errors is None else self._sentences.cleaned(said, errors)

    def _error(self, error: dict[str, Any], saga: str) -> dict[str, Any]:
        facts = self._masked(self._sentences.wanted(error), error.get("facts") or {})
        said = {"message": self._sentences.message(error), "facts": self._sentences.facts(error, facts)}
        return error | {name: self.said(value, saga) for name, value in said.items()}

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

    def _of_saga(self, name: str, data: dict[str, Any], saga: str) -> dict[str, Any]:
        """What a saga's own events hold of types that only its definition knows, and what they say of errors."""
        error, (of, version) = data.get("error"), self._sagas.of(saga) or ("", 0)
        signal, step = str(data.get("signal")), data.get("step")
        if isinstance(error, dict) and "facts" in error:
            return {"error": self._error(error, saga), "reason": self._reason(data, saga)}
        if "reason" in data and name != "operator-acted":
            return {"reason": self._reason(data, saga)}
        if name == "saga-started":
            return {"input": self._of(("input", str(data.get("name")), data.get("version", 0)), data.get("input"))}
        if name == "signal-received":
            if signal.startswith(CHILD):
                return {"payload": self._of_child(signal, data.get("payload"), saga)}
            return {"payload": self._of(("signal", f"{of}.{signal}", version), data.get("payload"))}
        if name in OF_SAGAS:
            what: tuple[Kind, str, int] = (
                ("output", of, version) if step is None else ("result", f"{of}.{step}", version)
            )
            return {"result": self._of(what, data.get("result"))}
        return {}

    def _reason(self, data: dict[str, Any], saga: str) -> Any:
        error = data.get("error")
        own = [error] if isinstance(error, dict) else []
        return self.said(self._sentences.cleaned(data.get("reason"), own), saga)

    def _of_child(self, signal: str, told: Any, saga: str) -> Any:
        """How a child ended, as it tells its parent."""
        if not isinstance(told, dict):
            return MASK
        name, version = self._sagas.of(signal.partition(" ")[2]) or ("", 0)
        shown = {key: value if key in TOLD else MASK for key, value in told.items()}
        if told.get("result") is not None:
            shown["result"] = self._of(("output", name, version), told["result"])
        if isinstance(told.get("error"), dict):
            shown["error"] = self._error(told["error"], saga)
        return shown | ({"reason": self._reason(told, saga)} if "reason" in told else {})


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
    if event.name in OF_SAGAS and (saga := saga_histories.key(event.stream)):
        yield saga
    if event.name == "signal-received" and isinstance(event.data, dict):
        signal = str(event.data.get("signal"))
        yield from [signal.partition(" ")[2]] if signal.startswith(CHILD) else []


def _said_of(event: StoredEvent) -> str | None:
    """The id of the saga of whose errors an event may say something."""
    data, saga = event.data, saga_histories.key(event.stream)
    told = isinstance(data, dict) and ("reason" in data or "error" in data or str(data.get("signal")).startswith(CHILD))
    return saga if told else None
