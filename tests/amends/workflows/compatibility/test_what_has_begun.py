"""What has begun and has no outcome counts as what has: code that does something else there does not fit, and what may
have happened is neither forgotten nor done twice."""

from __future__ import annotations

from typing import Any, Final

import pytest

from domain.amends.event import Cause
from tests.amends.workflows.compatibility.recorded import CALLED, code_at_hand, deployed, parked_at, recordings
from tests.amends.workflows.compatibility.test_migration import migrations
from workflows.amends.compatibility.replaying import judge
from workflows.amends.history import SagaMigrated
from workflows.amends.saga import Saga
from workflows.amends.simulation.simulation import ID, Simulation

BEFORE: Final = '''"""Move house: two vans at once, a friend, a payment that nobody answers, and a wait."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from tests.amends.workflows.compatibility.recorded import CALLED, NothingToSend, PackNow, ReleaseGoods
from workflows.amends.call import Call, Undo
from workflows.amends.saga import Retry, Saga, seconds, step


@dataclass(frozen=True)
class Wanted:
    how: str


@dataclass(frozen=True)
class AskFriend(Saga[str, str], name="ask-friend", signals=(ReleaseGoods,)):
    async def run(self, request: str) -> str:
        await self.receive(ReleaseGoods)
        return request


@dataclass(frozen=True)
class MoveHouse(
    Saga[Wanted, str], name="move-house", version=1, children=(AskFriend,), signals=(ReleaseGoods, PackNow)
):
    async def run(self, request: Wanted) -> str:
        await self.gather(self.book_slow_van(request.how), self.book_van(request.how))
        if request.how == "pays":
            await self.pay(request.how)
        if request.how == "asks":
            await self.child(AskFriend, request.how)
        if request.how == "waits":
            await self.receive(ReleaseGoods)
        if request.how == "sleeps":
            await self.sleep(seconds(300))
        return "moved"

    @step(compensation=None)
    async def book_slow_van(self, call: Call, how: str) -> None:
        await asyncio.sleep(1)
        CALLED.append(call.key)

    @step
    async def book_van(self, call: Call, how: str) -> None:
        CALLED.append(call.key)

    @book_van.compensation
    async def cancel_van(self, undo: Undo[None], how: str) -> None:
        CALLED.append(undo.key)
        if how == "pays":
            raise RuntimeError("nobody answers")

    @step(retry=Retry(attempts=2), pivot=True)
    async def pay(self, call: Call, how: str) -> None:
        CALLED.append(call.key)
        raise RuntimeError("nobody answers")
'''
SECOND: Final = ("version=1", "version=2")
CASES: Final[dict[str, tuple[str, list[tuple[str, str]], str]]] = {
    "a payment that was tried": (
        "pays",
        [("self.pay", "self.transfer"), ("def pay", "def transfer")],
        "step 3 is recorded as pay, but the code here does transfer",
    ),
    "a payment that was tried, and an end": (
        "pays",
        [('        if request.how == "pays":\n            await self.pay(request.how)\n', "")],
        "step 3 is recorded as pay, but the code here does complete",
    ),
    "a child": (
        "asks",
        [("await self.child(AskFriend, request.how)", "await self.receive(ReleaseGoods)")],
        "step 3 is recorded as ask-friend, but the code here does receive release-goods",
    ),
    "a child, and a refusal": (
        "asks",
        [("await self.child(AskFriend, request.how)", "raise NothingToSend()")],
        "step 3 is recorded as ask-friend, but the code here does turn-back",
    ),
    "a signal": (
        "waits",
        [("await self.receive(ReleaseGoods)\n        if", "await self.receive(PackNow)\n        if")],
        "step 3 is recorded as receive release-goods, but the code here does receive pack-now",
    ),
    "a timer": (
        "sleeps",
        [("await self.sleep(seconds(300))", "await self.receive(ReleaseGoods)")],
        "step 3 is recorded as sleep, but the code here does receive release-goods",
    ),
}


def changed(*changes: tuple[str, str]) -> list[Saga[Any, Any]]:
    source = BEFORE
    for before, after in changes:
        assert before in source, before
        source = source.replace(before, after)
    return deployed(source, "MoveHouse", "AskFriend")


async def parked(how: str, point: int = 99) -> tuple[Simulation, list[Saga[Any, Any]]]:
    before = changed()
    called()  # of other tests
    return await parked_at(point, before[0], {"how": how}, children=before[1:]), before


def called() -> list[str]:
    mine = [key for key in CALLED if key.startswith(ID)]
    CALLED.clear()
    return mine


async def verdict(simulation: Simulation, sagas: list[Saga[Any, Any]]) -> str:
    known = {(each.definition.name, each.definition.version): each for each in sagas}
    (mine,) = (each for each in recordings(simulation.store) if each.id == ID)
    return (await judge(mine, known, code_at_hand(simulation, *sagas))).reason


async def after_deploy(simulation: Simulation, sagas: list[Saga[Any, Any]], how: str) -> None:
    simulation.sagas = sagas
    if simulation.store.rows[ID].status == "stuck":
        simulation.handle_stuck("retry")
    simulation.store.rows[ID].workflow.enqueue(simulation.clock)
    called()
    await simulation.run(sagas[0], sagas[0].definition.input(how))


@pytest.mark.parametrize("case", CASES)
async def test_code_that_does_something_else_where_something_has_begun_does_not_fit(case: str) -> None:
    how, changes, reason = CASES[case]
    (simulation, _), after = await parked(how, point=4 if how == "sleeps" else 99), changed(*changes)
    assert await verdict(simulation, after) == reason
    await after_deploy(simulation, after, how)
    row = simulation.store.rows[ID]
    assert (row.status, row.reason, called()) == ("stranded", reason, [])


async def test_code_that_ends_before_what_was_done_beside_it_does_not_fit() -> None:
    after = changed(
        ("        await self.gather(self.book_slow_van(request.how), self.book_van(request.how))\n", ""),
    )
    refusing = changed(("        await self.gather(", "        raise NothingToSend()\n        await self.gather("))
    for sagas, ends in ((after, "completes"), (refusing, "turns back")):
        simulation, _ = await parked("at once", point=2)
        assert sorted(simulation.store.replay_state(ID).checkpoints) == [2]
        reason = f"step 2 is recorded as book_van, but the code here {ends} at step 1"
        assert await verdict(simulation, sagas) == reason
        await after_deploy(simulation, sagas, "at once")
        assert (simulation.store.rows[ID].reason, called()) == (reason, [])


@pytest.mark.parametrize("how", ["asks", "waits"])
async def test_a_stranded_saga_that_left_nothing_open_is_moved_to_a_version_that_fits(how: str) -> None:
    (simulation, before), wrong = await parked(how), changed(("book_van", "order_van"))
    await after_deploy(simulation, wrong, how)
    assert simulation.store.rows[ID].status == "stranded"
    fitting = changed(SECOND)
    moving = migrations(simulation, *wrong, fitting[0])
    await moving.migrate(ID, 2, "the first was renamed by mistake", Cause())
    assert simulation.history()[-1][1] == SagaMigrated(1, 2, "the first was renamed by mistake")
    await after_deploy(simulation, [fitting[0], before[1]], how)
    assert simulation.store.rows[ID].status != "stranded"
    assert called() == []


async def test_a_stranded_saga_that_died_in_a_step_stays_with_its_version() -> None:
    simulation, _ = await parked("waits", point=2)
    wrong = changed(("book_van", "order_van"))
    await after_deploy(simulation, wrong, "waits")
    assert simulation.store.rows[ID].status == "stranded"
    fitting = changed(SECOND)
    with pytest.raises(Exception, match="is in the middle of a step, or was left there"):
        await migrations(simulation, *wrong, fitting[0]).migrate(ID, 2, "why", Cause())
