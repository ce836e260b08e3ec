"""Sagas under way are moved to another version of their code: those that fit go on there, with no effect twice."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from domain.amends.errors import Conflict, Invalid, NotFound
from domain.amends.event import Cause
from tests.amends.workflows.compatibility.recorded import CALLED, code_at_hand, deployed, parked_at, recordings
from workflows.amends.compatibility.migration import Migrations
from workflows.amends.history import SagaMigrated
from workflows.amends.ports.recordings import UNFINISHED, Recording
from workflows.amends.saga import Saga
from workflows.amends.simulation.simulation import ID, Simulation

BEFORE = '''"""Rent a room: hold it, wait for the key, charge for it."""

from __future__ import annotations

from dataclasses import dataclass

from tests.amends.workflows.compatibility.recorded import CALLED, OutOfFunds, ReleaseGoods
from workflows.amends.saga import Call, Saga, Undo, step


@dataclass(frozen=True)
class CleanRoom(Saga[str, str], name="clean-room", signals=(ReleaseGoods,)):
    async def run(self, request: str) -> str:
        await self.receive(ReleaseGoods)
        return request


@dataclass(frozen=True)
class Wanted:
    room: str


@dataclass(frozen=True)
class RentRoom(Saga[Wanted, str], name="rent-room", version=1, signals=(ReleaseGoods,), children=(CleanRoom,)):
    async def run(self, request: Wanted) -> str:
        await self.hold_room(request.room)
        await self.receive(ReleaseGoods)
        await self.charge_guest(request.room)
        return "rented"

    @step
    async def hold_room(self, call: Call, room: str) -> None:
        CALLED.append(call.key)

    @hold_room.compensation
    async def free_room(self, undo: Undo[None], room: str) -> None:
        CALLED.append(undo.key)

    @step(compensation=None)
    async def charge_guest(self, call: Call, room: str) -> None:
        CALLED.append(call.key)
        if room == "suite":
            raise OutOfFunds()

    @step(compensation=None)
    async def send_key(self, call: Call, room: str) -> None:
        CALLED.append(call.key)
'''
SENT = ('        return "rented"', '        await self.send_key(request.room)\n        return "rented"')
CHILD = (
    "        await self.receive(ReleaseGoods)\n        await self.charge",
    """        await self.child(CleanRoom, "it")
        await self.charge""",
)


class LiveRecordings:
    """What stands in a store in memory by now."""

    def __init__(self, simulation: Simulation) -> None:
        self._store = simulation.store

    async def of(self, ids: Sequence[str]) -> Sequence[Recording]:
        return [each for each in recordings(self._store) if each.id in ids]

    async def other_versions(self, name: str, version: int, after: str) -> Sequence[str]:
        rows = (row for row in self._store.rows.values() if row.status in UNFINISHED and row.id > after)
        return sorted(row.id for row in rows if row.name == name and row.version != version)


def version(number: int, *changes: tuple[str, str]) -> list[Saga[Any, Any]]:
    source = BEFORE
    for before, after in (("version=1", f"version={number}"), *changes):
        assert before in source
        source = source.replace(before, after)
    return deployed(source, "RentRoom", "CleanRoom")


def migrations(simulation: Simulation, *sagas: Saga[Any, Any]) -> Migrations:
    known = {(each.definition.name, each.definition.version): each for each in sagas}
    return Migrations(simulation.store, LiveRecordings(simulation), known, code_at_hand(simulation, *sagas))


async def kept(simulation: Simulation, id: str, *sagas: Saga[Any, Any], to: int = 2) -> str:
    """Why a saga is not moved."""
    before = simulation.store.rows[ID].version, len(simulation.history())
    with pytest.raises(Conflict) as conflict:
        await migrations(simulation, *sagas).migrate(id, to, "why", Cause())
    assert (simulation.store.rows[ID].version, len(simulation.history())) == before
    return conflict.value.problem


def called(simulation: Simulation) -> list[str]:
    mine = [key for key in CALLED if key.startswith(ID)]
    CALLED.clear()
    return mine


@pytest.mark.parametrize("room", ["double", "suite"])
async def test_a_saga_that_waits_goes_on_with_the_other_version_under_the_same_keys(room: str) -> None:
    (old, child), (new, _) = version(1), version(2, SENT)
    simulation = await parked_at(99, old, {"room": room})
    called(simulation)
    answer = await migrations(simulation, old, new, child).migrate(ID, 2, "a key is sent", Cause(actor="ann"))
    assert (answer["act"], answer["version"], simulation.store.rows[ID].version) == ("migrate", 2, 2)
    assert simulation.history()[-1][1] == SagaMigrated(1, 2, "a key is sent")
    assert simulation.store.events.stream_events(f"saga-{ID}")[-1].metadata["actor"] == "ann"
    simulation.signal(old.definition.signals["release-goods"]("ann"))
    played = await simulation.run(new, new.definition.input(room))
    assert called(simulation) == [
        f"{ID}.charge_guest.1.0",
        f"{ID}.send_key.1.0" if room == "double" else f"{ID}.free_room.1.0",
    ]
    assert played.state.status == ("completed" if room == "double" else "compensated")


async def test_a_move_back_is_one_too() -> None:
    (old, child), (new, _) = version(1), version(2, SENT)
    simulation = await parked_at(99, old, {"room": "double"})
    moving = migrations(simulation, old, new, child)
    await moving.migrate(ID, 2, "why", Cause())
    await simulation.run(new, new.definition.input("double"))
    await moving.migrate(ID, 1, "it was wrong", Cause())
    assert "is of version 1 already" in await kept(simulation, ID, old, new, child, to=1)


async def test_one_that_does_not_fit_stays_and_says_why() -> None:
    (old, child), (new, _) = version(1), version(2, ("hold_room", "book_room"))
    simulation = await parked_at(99, old, {"room": "double"})
    told = await kept(simulation, ID, old, new, child)
    assert told == (
        f"Workflow {ID} does not fit version 2: step 1 is recorded as hold_room, but the code here does book_room."
    )


async def test_one_whose_child_the_other_version_does_not_start_stays() -> None:
    (old, child), (new, _) = version(1, CHILD), version(2)
    simulation = await parked_at(99, old, {"room": "double"}, children=[child])
    told = await kept(simulation, ID, old, new, child)
    assert "step 2 is recorded as clean-room, but the code here does receive release-goods" in told
    (same, _) = version(2, CHILD, SENT)
    await migrations(simulation, old, same, child).migrate(ID, 2, "why", Cause())


async def test_one_that_died_in_the_middle_stays_with_its_version() -> None:
    (old, child), (new, _) = version(1), version(2, SENT)
    simulation = await parked_at(1, old, {"room": "double"})
    assert "is in the middle of a step, or was left there" in await kept(simulation, ID, old, new, child)


async def test_one_that_is_finished_or_unknown_is_not_moved() -> None:
    (old, child), (new, _) = version(1), version(2, SENT)
    signal = old.definition.signals["release-goods"]("ann")
    simulation = await parked_at(99, old, {"room": "double"}, [signal])
    assert f"Workflow {ID} is completed" in await kept(simulation, ID, old, new, child)
    moving = migrations(simulation, old, new, child)
    with pytest.raises(NotFound):
        await moving.migrate("another", 2, "why", Cause())
    with pytest.raises(NotFound, match="rent-room"):
        moving.require_version("rent-rom", 2)
    with pytest.raises(Invalid, match="rent-room has no version 3 here; there are: 1, 2"):
        moving.require_version("rent-room", 3)


async def test_those_of_other_versions_are_listed() -> None:
    (old, child), (new, _) = version(1), version(2, SENT)
    simulation = await parked_at(99, old, {"room": "double"})
    moving = migrations(simulation, old, new, child)
    assert list(await moving.others("rent-room", 2, "")) == [ID]
    await moving.migrate(ID, 2, "why", Cause())
    assert list(await moving.others("rent-room", 2, "")) == []
