"""Whatever point a saga has come to, what is exported of it replays as it does, and has none of its marked values."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from app.amends.recordings.export import Exporter, NotExported
from app.amends.schema.lock import Lock
from app.amends.schema.register import ShapeRegister
from app.amends.schema.shapes import error_shapes, refusal_shapes, saga_shapes
from tests.amends.workflows.compatibility.recorded import code_at_hand, deployed, parked_at, recordings
from workflows.amends.compatibility.recorded_saga import (
    FORMAT,
    RecordedCheckpoint,
    RecordedEvent,
    RecordedSaga,
    parse_recording,
)
from workflows.amends.compatibility.replay_log import FITS
from workflows.amends.compatibility.replaying import judge
from workflows.amends.history import saga_histories
from workflows.amends.saga import Saga
from workflows.amends.simulation.simulation import Simulation
from workflows.amends.values.refusals import all_refusals

SOURCE = '''"""Send letters to people: address them, have stamps printed, send them."""

from dataclasses import dataclass
from typing import Annotated

from domain.amends.errors import Refusal
from domain.amends.sensitive import PERSONAL, SECRET
from workflows.amends.saga import Call, Saga, Undo, seconds, signal, step


class Unknown(Refusal, name="addressee-unknown"):
    """{who} is unknown."""

    who: Annotated[str, PERSONAL]


@signal("letter-signed")
class Signed:
    by: Annotated[str, PERSONAL]


@dataclass(frozen=True)
class Stamp:
    number: int
    owner: Annotated[str, PERSONAL]


@dataclass(frozen=True)
class Letters:
    people: Annotated[list[str], PERSONAL]
    password: Annotated[str, SECRET]
    note: str


@dataclass(frozen=True)
class PrintStamp(Saga[Stamp, Stamp], name="print-stamp"):
    """Prints a stamp."""

    async def run(self, request: Stamp) -> Stamp:
        await self.print_owner(request)
        return request

    @step(compensation=None)
    async def print_owner(self, call: Call, request: Stamp) -> Stamp:
        return request


@dataclass(frozen=True)
class SendLetters(Saga[Letters, str], name="send-letters", children=(PrintStamp,), signals=(Signed,)):
    """Sends letters."""

    async def run(self, request: Letters) -> str:
        for who in request.people:
            await self.address(who)
        await self.sleep(seconds(60))
        signed = await self.receive(Signed)
        stamps = await self.gather(*(self.child(PrintStamp, Stamp(1, who)) for who in request.people))
        try:
            await self.look_up(signed.by if signed else "nobody", request.note)
        except Unknown as unknown:
            await self.address(unknown.who)
        await self.send(request, stamps[0])
        return request.note

    @step
    async def address(self, call: Call, who: str) -> Annotated[str, PERSONAL]:
        return f"To {who}"

    @address.compensation
    async def throw_away(self, undo: Undo[Annotated[str, PERSONAL]], who: str) -> None:
        pass

    @step(compensation=None)
    async def look_up(self, call: Call, who: str, note: str) -> None:
        raise Unknown(who)

    @step(compensation=None)
    async def send(self, call: Call, request: Letters, stamp: Stamp) -> None:
        raise ValueError(f"{request.password} is no password for {stamp.owner}")

'''
GIVEN = {"people": ["Ada Lovelace", "Grace Hopper"], "password": "sesame-17", "note": "for Ada Lovelace"}
SIGNER = "Mary Somerville"
HIDDEN = ("Ada Lovelace", "Grace Hopper", "sesame-17", SIGNER)
POINTS = range(1, 26)


def recorded(simulation: Simulation) -> Iterator[RecordedSaga]:
    """What a store would export of all unfinished sagas."""
    store = simulation.store
    for each in recordings(store):
        row = store.rows[each.id]
        stored = store.events.stream_events(saga_histories.stream(each.id))
        yield RecordedSaga(
            FORMAT, each.name, each.version, each.id, row.root, row.parent, row.status, row.settled, row.takeovers,
            row.provider, each.started_at, row.deadline_at, each.given,
            [RecordedEvent(event.type.name, event.type.version, event.data) for event in stored],
            [RecordedCheckpoint.of(checkpoint) for checkpoint in row.checkpoints.values()],
        )  # fmt: skip


async def parked(point: int, sagas: list[Saga[Any, Any]]) -> Simulation:
    letters, stamp = sagas
    cls = letters.definition.signals["letter-signed"]
    return await parked_at(point, letters, GIVEN, [cls(SIGNER)], children=[stamp])


def exporter(simulation: Simulation, sagas: list[Saga[Any, Any]]) -> Exporter:
    shapes = [shape for saga in sagas for shape in saga_shapes(saga.definition)]
    shapes += [*(refusal_shapes(cls) for cls in all_refusals()), *error_shapes()]
    known = {(saga.definition.name, saga.definition.version): saga for saga in sagas}
    return Exporter(ShapeRegister(lambda: shapes, lambda _: Lock()), known, code_at_hand(simulation, *sagas))


@pytest.mark.parametrize("point", POINTS)
async def test_what_is_exported_at_any_point_replays_and_has_no_marked_value(point: int) -> None:
    sagas = deployed(SOURCE, "SendLetters", "PrintStamp")
    simulation = await parked(point, sagas)
    known = {(saga.definition.name, saga.definition.version): saga for saga in sagas}
    types = {each.id: (each.name, each.version) for each in recordings(simulation.store)}
    for each in recorded(simulation):
        made = await exporter(simulation, sagas).export(each, types)
        read = parse_recording(made.text(), "a file")
        assert [value for value in HIDDEN if value in made.text()] == []
        assert await judge(read.recording(), known, code_at_hand(simulation, *sagas)) == FITS
        changed = replace(read, input=_changed(read.input))
        verdict = await judge(changed.recording(), known, code_at_hand(simulation, *sagas))
        assert (verdict == FITS) == (not any("arguments" in event.data for event in each.events)), point


def _changed(given: Any) -> Any:
    """The input with another value in each of its marked fields."""
    return {
        name: [f"{who}!" for who in value]
        if isinstance(value, list)
        else f"{value}!"
        if isinstance(value, str)
        else value
        for name, value in given.items()
    }


async def test_a_saga_whose_way_depends_on_a_marked_value_is_not_exported() -> None:
    by_name = SOURCE.replace(
        "        await self.sleep(seconds(60))\n",
        '        if request.people[0] != "Ada Lovelace":\n            await self.address(request.note)\n',
    )
    sagas = deployed(by_name, "SendLetters", "PrintStamp")
    simulation = await parked(4, sagas)
    (each,) = recorded(simulation)
    with pytest.raises(NotExported, match=f"Saga {each.id} is not exported: without the values that are marked"):
        await exporter(simulation, sagas).export(each, {})


async def test_a_saga_that_the_code_here_does_not_fit_is_not_exported() -> None:
    sagas = deployed(SOURCE, "SendLetters", "PrintStamp")
    simulation = await parked(4, sagas)
    (each,) = recorded(simulation)
    other = deployed(re.sub(r"\baddress\b", "write_to", SOURCE), "SendLetters", "PrintStamp")
    with pytest.raises(NotExported, match="the code here does not fit it; export it with the code that runs it"):
        await exporter(simulation, other).export(each, {})
    with pytest.raises(NotExported, match="there is no code for send-letters:1 here"):
        await exporter(simulation, other[1:]).export(each, {})
