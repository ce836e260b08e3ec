"""What is stored is shown without what is marked by anybody who knows it, and without what nobody knows."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Annotated, Any, ClassVar
from uuid import uuid4

import pytest

from app.amends.redaction.redactor import RedactedEvent, Redactor
from app.amends.schema.catalogue import load_catalogue
from app.amends.schema.lock import Lock
from app.amends.schema.register import ShapeRegister
from app.amends.schema.shapes import KnownShape, ShapeKey, loaded_shapes
from app.amends.store.aggregates.difference import Change
from domain.amends.errors import Refusal
from domain.amends.event import EventType, event
from domain.amends.sensitive import KEYWORD, PERSONAL, SECRET
from domain.amends.vocabulary import Unreadable, Vocabulary
from workflows.amends.history import Problem
from workflows.amends.ports.event_store import StoredEvent, load_event, load_event_json
from workflows.amends.redaction.shapes import Shape, shape_of
from workflows.amends.saga import Call, Saga, signal, step


@signal("answer")
class Answer:
    by: Annotated[str, PERSONAL]
    yes: bool


@dataclass(frozen=True)
class Result:
    name: Annotated[str, PERSONAL]


class Unwelcome(Refusal, name="unwelcome"):
    """{who} is not welcome."""

    who: Annotated[str, PERSONAL] | None
    tries: int


class Born(Refusal, name="too-young"):
    """{who}, born {born:%d.%m.%Y} ({born.year}), is too young for {what}."""

    who: Annotated[str, PERSONAL]
    born: Annotated[date, PERSONAL]
    what: str


@dataclass(frozen=True)
class Asking(Saga[str, Result], name="asking", signals=(Answer,)):
    async def run(self, request: str) -> Result:
        return await self.greet(request)

    @step(compensation=None)
    async def greet(self, call: Call, request: str) -> Result:
        return Result(request)


class Ids:
    """Sagas by their ids."""

    known = {"x": ("asking", 1)}
    met: ClassVar[dict[str, list[dict[str, Any]] | None]] = {}

    async def look_up(self, ids: Collection[str]) -> None:
        """They are at hand."""

    def saga_type(self, id: str) -> tuple[str, int] | None:
        return self.known.get(id)

    async def look_up_errors(self, ids: Collection[str], names: Collection[str]) -> None:
        """They are at hand."""

    def errors(self, id: str) -> Sequence[dict[str, Any]] | None:
        return self.met.get(id, [])


class Notes:
    """A table of shapes in memory."""

    def __init__(self) -> None:
        self.noted: dict[str, KnownShape] = {}
        self.reads = 0

    async def read(self, known: Collection[str]) -> list[KnownShape]:
        self.reads += 1
        return [each for digest, each in self.noted.items() if digest not in known]

    async def write(self, shapes: Sequence[KnownShape]) -> None:
        self.noted.update({each.digest: each for each in shapes})


def server(code: Iterable[KnownShape], lock: Lock = Lock(), notes: Notes | None = None) -> Redactor:
    return Redactor(ShapeRegister(lambda: code, lambda _: lock, notes or Notes()), Ids())


MASKS = server(list(loaded_shapes(load_catalogue(), [Asking.definition])))


def stored(name: str, data: Any, version: int = 1, stream: str = "saga-x") -> StoredEvent:
    return StoredEvent(1, 1, 1, uuid4(), stream, 1, name, version, json.dumps(data), "{}", datetime.now(UTC))


def shown(name: str, data: Any, stream: str = "saga-x") -> Any:
    return MASKS.event(stored(name, data, stream=stream)).data


def lamp(version: int, annotation: Any, name: str = "lamp-lit", before: tuple[str, ...] = ()) -> KnownShape:
    return KnownShape(ShapeKey("event", name, str(version)), shape_of(annotation), before)


@dataclass(frozen=True)
class First:
    owner: str
    watts: int


@dataclass(frozen=True)
class Second:
    owner: Annotated[str, SECRET]
    watts: int
    room: str


FULL = {"owner": "Ann Private", "watts": 60, "room": "hall"}
OLD = {"owner": "Ann Private", "watts": 60}


def test_signals_are_masked() -> None:
    told = {"signal": "answer", "payload": {"by": "Ann Private", "yes": True}}
    assert shown("signal-received", told)["payload"] == {"by": "***", "yes": True}


def test_what_a_person_says_a_saga_came_to_is_masked() -> None:
    acted = {"act": "resolve", "reason": "by hand", "slot": 3, "step": None, "result": {"name": "Ann Private"}}
    assert shown("operator-acted", acted)["result"] == {"name": "***"}


def test_what_only_a_saga_knows_is_masked_where_that_is_not_known() -> None:
    """Values of a step, a signal, a result and a child of another saga, or of a step that is not there any more."""
    done = {"step": "greet", "occurrence": 1, "result": {"name": "Ann Private", "age": 4}}
    assert shown("step-completed", done)["result"] == {"name": "***", "age": "***"}
    for stream, name in (("saga-gone", "greet"), ("saga-x", "wave")):
        assert shown("step-completed", done | {"step": name}, stream)["result"] == {"name": "***", "age": "***"}
    assert shown("saga-completed", {"result": "Ann Private"}, "saga-gone")["result"] == "***"
    answer = {"signal": "answer", "payload": {"yes": True}}
    assert shown("signal-received", answer, "saga-gone")["payload"] == {"yes": "***"}
    told = {"status": "completed", "result": {"name": "Ann Private"}, "note": "Ann Private"}
    for child, result in (("x", {"name": "***"}), ("gone", {"name": "***"})):
        payload = shown("signal-received", {"signal": f"child {child}", "payload": told})["payload"]
        assert payload == {"status": "completed", "result": result, "note": "***"}
    assert MASKS.input("gone", 1, {"pin": 1}) == {"pin": "***"}
    assert MASKS.input("asking", 2, "Ann Private") == "***"
    assert MASKS.result("gone", 1, None) is None


def test_facts_are_masked_by_what_any_refusal_of_that_name_marks_also_in_the_message() -> None:
    """The message was made when the fact was not marked yet."""
    old = Problem("unwelcome", "Ann Private is not welcome.", {"who": "Ann Private", "tries": 2, "pin": 1})
    assert MASKS.problem(old, "x") == {
        "name": "unwelcome",
        "message": "*** is not welcome.",
        "facts": {"who": "***", "tries": 2, "pin": "***"},
    }
    back = {"reason": "greet: Ann Private is not welcome.", "error": vars(old), "in_doubt": []}
    assert "Ann Private" not in str(shown("saga-compensating", back))
    assert MASKS.problem(Problem("Gone", "no", {"who": "Ann"}), "x")["facts"] == {"who": "***"}
    assert MASKS.problem(Problem("NotFound", "no", {"kind": "x", "key": 1}), "x")["facts"] == {"kind": "x", "key": 1}
    assert str(Unwelcome("Ann Private", 2)) == "*** is not welcome.", "a mark within a union counts"


def test_a_mark_added_later_covers_all_that_was_said_of_a_saga_and_of_those_it_belongs_to(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Also where the error itself does not stand beside what was said."""
    error = {"name": "unwelcome", "message": "Ann Private is not welcome.", "facts": {"who": "Ann Private", "tries": 2}}
    monkeypatch.setattr(Ids, "met", {"x": [error], "new": None})
    reason = "parent: greet: Ann Private is not welcome."
    for name in ("saga-compensated", "saga-stranded", "cancel-requested"):
        assert shown(name, {"reason": reason})["reason"] == "parent: greet: *** is not welcome."
        assert shown(name, {"reason": reason}, "saga-new")["reason"] == "***", "what was not looked up is masked"
    recalled = {"slot": 1, "child": "c", "reason": reason}
    assert shown("child-recalled", recalled)["reason"] == "parent: greet: *** is not welcome."
    told = {"status": "compensated", "reason": "greet: Ann Private is not welcome.", "error": None}
    payload = shown("signal-received", {"signal": "child c", "payload": told})["payload"]
    assert payload == told | {"reason": "greet: *** is not welcome."}
    wrapped = {"name": "child-failed", "message": "no: Ann Private", "facts": {"saga": "s", "reason": "Ann Private"}}
    assert "Ann Private" not in str(shown("step-refused", {"error": wrapped}))
    row = {"id": "x", "reason": reason, "failing_error": error["message"]}
    assert MASKS.sagas_with_reasons("workflow_overview", [row, {"id": "y", "reason": None}]) == ["x"]
    assert "Ann Private" not in str(MASKS.row("workflow_overview", row))


def test_short_and_formatted_facts_are_masked_in_the_message_too() -> None:
    assert str(Born("Bo", date(2020, 2, 1), "gin")) == "***, born *** (***), is too young for gin."
    facts: dict[str, Any] = {"who": "Bo", "born": "2020-02-01", "what": "gin"}
    old = Problem("too-young", "Bo, born 01.02.2020 (2020), is too young for gin.", facts)
    message = "***, born *** (***), is too young for gin."
    assert MASKS.problem(old, "x")["message"] == message
    back = {"reason": f"buy: {old.message}", "error": vars(old), "in_doubt": []}
    assert MASKS.event(stored("saga-compensating", back, 2)).data["reason"] == f"buy: {message}"
    for unfit in (Problem("too-young", old.message, facts | {"born": "once"}), Problem("gone", "Bo!", {"who": "Bo"})):
        who: Shape = {"type": "object", "properties": {"who": {"type": "string", KEYWORD: "personal"}}}
        gone = KnownShape(ShapeKey("refusal", "gone", "old"), who)
        redactor = server([*loaded_shapes(load_catalogue(), [Asking.definition]), gone])
        assert redactor.problem(unfit, "x")["message"] == "***", "what cannot be said anew is not said"


class Wrong(Refusal, name="wrong-pin"):
    """{pin} is wrong, tried {tries} times by {who}."""

    pin: str
    tries: int
    who: Annotated[str, PERSONAL]


def test_a_fact_does_not_tell_what_was_hidden_in_the_message() -> None:
    """A secret argument of a step, which the engine hid in the message when it was stored."""
    facts: dict[str, Any] = {"pin": "4711", "tries": 2, "who": "Ann Private"}
    redactor = server(list(loaded_shapes(load_catalogue(), [Asking.definition])))
    hidden = redactor.problem(Problem("wrong-pin", "*** is wrong, tried 2 times by ***.", facts), "x")
    assert hidden["message"] == "*** is wrong, tried 2 times by ***."
    assert hidden["facts"] == {"pin": "***", "tries": 2, "who": "***"}
    clear = redactor.problem(Problem("wrong-pin", "4711 is wrong, tried 2 times by ***.", facts), "x")
    assert clear["facts"] == {"pin": "4711", "tries": 2, "who": "***"}, "it was not secret"


def test_an_event_says_why_it_is_masked() -> None:
    redactor = server([lamp(1, First)])
    assert redactor.event(stored("lamp-lit", OLD)) == RedactedEvent(OLD, None)
    assert redactor.event(stored("lamp-lit", FULL)) == RedactedEvent(FULL | {"room": "***"}, "unknown")
    assert redactor.event(stored("lamp-lit", FULL, 2)) == RedactedEvent(dict.fromkeys(FULL, "***"), "unknown")
    assert redactor.event(stored("lamp-out", [FULL])) == RedactedEvent("***", "unknown")
    assert server([lamp(1, Second)]).event(stored("lamp-lit", FULL)) == RedactedEvent(FULL | {"owner": "***"}, "marked")


def test_a_mark_covers_all_versions_and_names_whoever_has_it() -> None:
    """Whether the code, the lock or another server has it, for a version or a name before or after it."""
    first, second = lamp(1, First), lamp(2, Second)
    renamed = lamp(1, First, "bulb-lit", ("lamp-lit",))
    wanted = RedactedEvent(OLD | {"owner": "***"}, "marked")
    lock = Lock({second.key: second.shape})
    for redactor in (server([first, second]), server([first], lock), server([renamed, first, second])):
        assert redactor.event(stored("lamp-lit", OLD)) == wanted
    redactor = server([renamed], Lock({first.key: first.shape, second.key: second.shape}))
    assert redactor.event(stored("bulb-lit", OLD)) == wanted, "a new name does not show what the old one hid"
    assert redactor.event(stored("lamp-lit", OLD)) == wanted
    marked = KnownShape(ShapeKey("event", "bulb-lit", "1"), shape_of(Second), ("lamp-lit",))
    assert server([marked, first]).event(stored("lamp-lit", OLD)) == wanted, "nor the old one what the new one hides"


def test_a_lifted_mark_counts_only_where_the_code_has_it() -> None:
    second = lamp(2, Second)
    lock = Lock({second.key: second.shape}, lifted={("event", "lamp-lit"): frozenset({("owner",)})})
    assert server([lamp(1, First)], lock).event(stored("lamp-lit", OLD)).data == OLD
    assert server([lamp(1, First), second], lock).event(stored("lamp-lit", OLD)).data["owner"] == "***"


async def test_an_old_server_learns_from_a_newer_one() -> None:
    notes = Notes()
    old, lit = server([lamp(1, First)], notes=notes), stored("lamp-lit", FULL, 2)
    assert await old.serialise_redacted(lambda: old.event(lit)) == RedactedEvent(dict.fromkeys(FULL, "***"), "unknown")
    new = server([lamp(2, Second)], notes=notes)
    await new.register.note_shapes()
    assert await new.serialise_redacted(lambda: new.event(lit)) == RedactedEvent(FULL | {"owner": "***"}, "marked")
    other = stored("lamp-lit", FULL, 2)
    fresh = server([lamp(1, First)], notes=notes)
    assert await fresh.serialise_redacted(lambda: fresh.event(other)) == RedactedEvent(
        FULL | {"owner": "***"}, "marked"
    )


async def test_what_nobody_knows_is_not_asked_for_at_every_event() -> None:
    notes = Notes()
    redactor, lit = server([], notes=notes), stored("lamp-lit", FULL)
    for _ in range(100):
        await redactor.serialise_redacted(lambda: redactor.event(lit))
    assert notes.reads <= 4


def test_states_and_rows_are_masked_by_all_that_is_known_of_them() -> None:
    row: Shape = shape_of(Second)
    redactor = server([KnownShape(ShapeKey("row", "lamps", "1"), row), KnownShape(ShapeKey("state", "lamp", "1"), row)])
    assert redactor.row("lamps", FULL | {"added": 1}) == FULL | {"owner": "***", "added": "***"}
    assert redactor.state("lamp", FULL) == FULL | {"owner": "***"}
    assert redactor.row("other", FULL) == dict.fromkeys(FULL, "***")
    changes = [Change("/owner", "Ann", "Bob"), Change("/watts", 40, 60), Change("", None, FULL)]
    assert redactor.changes("lamp", changes) == [
        Change("/owner", "***", "***"),
        Change("/watts", 40, 60),
        Change("", None, FULL | {"owner": "***"}),
    ]


def test_where_a_masked_value_changed_is_not_told() -> None:
    """Its keys are as personal as what stands behind them."""
    annotation = dict[str, dict[Annotated[str, PERSONAL], int]]
    redactor = server([KnownShape(ShapeKey("state", "lamp", "1"), shape_of(annotation))])
    changes = [Change("/by/Ann", 1, 2), Change("/by/Bob", None, 2), Change("/of/Ann/x", 1, 2)]
    assert redactor.changes("lamp", changes) == [Change("/by", "***", "***"), Change("/of", "***", "***")]
    assert redactor.changes("other", changes) == [Change("", "***", "***")]


@dataclass(frozen=True)
class Picky:
    owner: Annotated[str, PERSONAL]

    def __post_init__(self) -> None:
        if self.owner:
            raise ValueError(f"{self.owner} owns nothing")


@event("picky-lit")
class PickyLit:
    by: Picky


def test_an_event_that_cannot_be_read_is_no_leak() -> None:
    with pytest.raises(Unreadable) as unreadable:
        load_event(Vocabulary((PickyLit,)), EventType("picky-lit", 1), {"by": {"owner": "Ann Private"}})
    assert "*** owns nothing" in str(unreadable.value)
    with pytest.raises(Unreadable, match=r"\*\*\* owns nothing"):
        load_event_json(Vocabulary((PickyLit,)), EventType("picky-lit", 1), '{"by": {"owner": "Ann Private"}}')
