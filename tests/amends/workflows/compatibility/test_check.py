"""What a check says of recorded sagas before a deploy is what happens to them after it."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import pytest

from tests.amends.workflows.compatibility.recorded import (
    CALLED,
    MemoryRecordings,
    ReleaseGoods,
    code_at_hand,
    deployed,
    parked_at,
    recordings,
)
from workflows.amends.compatibility.check import EXAMPLES, FINDINGS, TypeReport, check_recordings
from workflows.amends.compatibility.replay_log import Verdict
from workflows.amends.compatibility.replaying import judge
from workflows.amends.saga import Saga
from workflows.amends.simulation.simulation import Simulation

BEFORE = '''"""Sell something: hold it, take the money, wait for a person, hand it over."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from tests.amends.workflows.compatibility.recorded import CALLED, OutOfFunds, ReleaseGoods
from workflows.amends.saga import Call, Saga, Transaction, Undo, hours, seconds, signal, step, transaction


@dataclass(frozen=True)
class Wanted:
    item: str
    price: int


@dataclass(frozen=True)
class Receipt:
    number: str


@dataclass(frozen=True)
class SellItem(Saga[Wanted, str], name="sell-item", signals=(ReleaseGoods,)):
    """Sells something."""

    async def run(self, request: Wanted) -> str:
        await self.open_sale(request.item)
        await self.gather(self.hold_item(request.item), self.reserve_courier(request.item))
        receipt = await self.charge_buyer(request)
        released = await self.receive(ReleaseGoods)
        await self.hand_over(receipt, request.item)
        return receipt.number

    @transaction(compensation=None)
    async def open_sale(self, tx: Transaction, item: str) -> None:
        CALLED.append("open_sale")

    @step
    async def hold_item(self, call: Call, item: str) -> str:
        await asyncio.sleep(0)  # the courier is quicker
        return f"held {item}"

    @hold_item.compensation
    async def free_item(self, undo: Undo[str], item: str) -> None:
        CALLED.append("free_item")

    @step(compensation=None)
    async def reserve_courier(self, call: Call, item: str) -> None:
        pass

    @step(compensation=None)
    async def charge_buyer(self, call: Call, request: Wanted) -> Receipt:
        CALLED.append("charge_buyer")
        if request.price > 100:
            raise OutOfFunds()
        return Receipt(call.key)

    @step(pivot=True)
    async def hand_over(self, call: Call, receipt: Receipt, item: str) -> None:
        CALLED.append("hand_over")
'''

CHANGES: dict[str, tuple[tuple[str, str], ...]] = {
    "nothing": (),
    "the body of a step": (('f"held {item}"', 'f"kept {item}"'),),
    "a step renamed": (("charge_buyer", "charge_customer"),),
    "a transaction renamed": (("open_sale", "begin_sale"),),
    "a parallel step renamed": (("reserve_courier", "ask_courier"),),
    "another argument": (("self.open_sale(request.item)", "self.open_sale(request.item.upper())"),),
    "another argument of a parallel step": (
        ("self.reserve_courier(request.item)", "self.reserve_courier(request.item.upper())"),
    ),
    "an argument more": (
        ("self.open_sale(request.item)", 'self.open_sale(request.item, "web")'),
        ("tx: Transaction, item: str", "tx: Transaction, item: str, where: str"),
    ),
    "parallel steps in another order": (
        (
            "self.hold_item(request.item), self.reserve_courier(request.item)",
            "self.reserve_courier(request.item), self.hold_item(request.item)",
        ),
    ),
    "a step removed": (
        ("        receipt = await self.charge_buyer(request)\n", '        receipt = Receipt("none")\n'),
    ),
    "the last step removed": (("        await self.hand_over(receipt, request.item)\n", ""),),
    "the first step removed": (("        await self.open_sale(request.item)\n", ""),),
    "a step at the end": (
        (
            "        return receipt.number",
            "        await self.reserve_courier(request.item)\n        return receipt.number",
        ),
    ),
    "a step in the middle": (
        ("        receipt =", "        await self.reserve_courier(request.item)\n        receipt ="),
    ),
    "a timer before the wait": (("        released =", "        await self.sleep(seconds(5))\n        released ="),),
    "no wait": (("        released = await self.receive(ReleaseGoods)\n", ""),),
    "a signal that says more": (
        ("OutOfFunds, ReleaseGoods", "OutOfFunds"),
        (
            "@dataclass(frozen=True)\nclass Wanted",
            '@signal("release-goods")\nclass ReleaseGoods:\n    by: str\n    note: str\n\n\n'
            "@dataclass(frozen=True)\nclass Wanted",
        ),
    ),
    "a timeout of the wait": (("receive(ReleaseGoods)", "receive(ReleaseGoods, timeout=hours(1))"),),
    "a field with default in the request": (("    price: int\n", '    price: int\n    note: str = ""\n'),),
    "a field without default in the request": (("    price: int\n", "    price: int\n    note: str\n"),),
    "a field retyped in the request": (("    price: int\n", "    price: bool\n"),),
    "another result": (("    number: str\n", "    number: str\n    paid: int = 0\n"),),
    "a result that does not fit": (
        ("    number: str\n", "    number: str\n    paid: int\n"),
        ("Receipt(call.key)", "Receipt(call.key, 1)"),
    ),
    "a compensation renamed": ((" free_item(", " release_item("),),
    "a compensation removed": (
        ("    @step\n", "    @step(compensation=None)\n"),
        ("    @hold_item.compensation\n    async def free_item", "    async def free_item"),
    ),
    "a compensation added": (
        ("    @step(compensation=None)\n    async def reserve_courier", "    @step\n    async def reserve_courier"),
        (
            "    @step(compensation=None)\n    async def charge_buyer",
            "    @reserve_courier.compensation\n    async def send_away(self, undo: Undo[None], item: str) -> None:\n"
            "        pass\n\n    @step(compensation=None)\n    async def charge_buyer",
        ),
    ),
    "a refusal of its own first": (("        await self.open_sale(request.item)\n", "        raise OutOfFunds()\n"),),
    "a refusal of its own later": (("        released =", "        raise OutOfFunds()\n        released ="),),
    "a bug between the steps": (("        released =", '        {}["nothing"]\n        released ='),),
    "other code for a refusal": (
        (
            "        receipt = await self.charge_buyer(request)\n",
            "        try:\n            receipt = await self.charge_buyer(request)\n        except OutOfFunds:\n"
            '            receipt = Receipt("on account")\n',
        ),
    ),
}
FINDS: dict[str, set[str]] = {
    "nothing": {"fits"},
    "the body of a step": {"fits"},
    "a step at the end": {"fits"},
    "a timeout of the wait": {"fits"},
    "other code for a refusal": {"fits"},
    "a field without default in the request": {"stranded"},
    "a field retyped in the request": {"stranded"},
    "a bug between the steps": {"fits", "stuck"},
}
"""What a check finds if not some instances that go on and some that are stranded."""
SOLD, REFUSED = {"item": "lamp", "price": 50}, {"item": "piano", "price": 500}
RELEASED = ReleaseGoods("somebody")
PARKED: list[tuple[dict[str, Any], list[ReleaseGoods], int]] = [
    *((SOLD, [], point) for point in range(1, 7)),
    *((SOLD, [RELEASED], point) for point in range(6, 9)),
    *((REFUSED, [], point) for point in range(5, 8)),
]
"""The input of a saga, what it is told, and the commit before which its executor dies; the sixth point waits."""


def changed(change: str) -> Saga[Any, Any]:
    """The saga after a change."""
    source = BEFORE
    for before, after in CHANGES[change]:
        assert before in source, before
        source = source.replace(before, after)
    (made,) = deployed(source, "SellItem")
    return made


async def after_deploy(simulation: Simulation, saga: Saga[Any, Any], given: dict[str, Any]) -> Verdict:
    """What becomes of a parked saga when an executor with this code goes on with it, to its end if it can."""
    played = await simulation.run(saga, given)
    if played.state.status == "waiting":
        cls = saga.definition.signals["release-goods"]
        simulation.signal(cls(**{each.name: "somebody" for each in fields(cls)}))
        played = await simulation.run(saga, given)
    match played.state.status:
        case "stranded" | "stuck" as status:
            return Verdict(status, played.state.reason or "")
        case _:
            return Verdict("fits")


@pytest.mark.parametrize("change", CHANGES)
async def test_the_verdict_on_a_change_is_what_happens(change: str) -> None:
    before, after, outcomes = changed("nothing"), changed(change), set[str]()
    for given, signals, point in PARKED:
        simulation = await parked_at(point, before, given, signals)
        commits, called = simulation.commits, len(CALLED)
        (recording,) = recordings(simulation.store)
        verdict = await judge(recording, {("sell-item", 1): after}, code_at_hand(simulation))
        assert (simulation.commits, len(CALLED)) == (commits, called)
        happened = await after_deploy(simulation, after, given)
        if (verdict.outcome, happened.outcome) != ("fits", "stuck"):  # else a bug lies ahead of what is recorded
            assert verdict == happened, (given, point)
        outcomes.add(verdict.outcome)
    assert outcomes == (FINDS.get(change) or {"fits", "stranded"})


async def test_a_report_counts_by_type_and_reason_and_names_a_few() -> None:
    simulation = await parked_at(9, changed("nothing"), SOLD)
    (waiting,) = recordings(simulation.store)
    found = [replace(waiting, identity=replace(waiting.identity, id=f"s-{number:02}")) for number in range(20)]
    found += [replace(waiting, version=2, identity=replace(waiting.identity, id="t-1"))]
    seen: list[int] = []
    sagas = {("sell-item", 1): changed("a step renamed")}
    report = await check_recordings(MemoryRecordings(found, 8), sagas, code_at_hand(simulation), seen.append)
    assert seen == [8, 16, 21]
    assert (report.instances, report.fits) == (21, 0)
    (stranded,), (unknown,) = (each.findings for each in report.types.values())
    assert (stranded.outcome, stranded.count, len(stranded.examples)) == ("stranded", 20, EXAMPLES)
    assert stranded.reason == "step 4 is recorded as charge_buyer, but the code here does charge_customer"
    assert (unknown.outcome, unknown.examples) == ("no-code", ["t-1"])


async def test_reasons_without_end_are_counted_as_one() -> None:
    report = TypeReport("sell-item", 1)
    for number in range(3 * FINDINGS):
        report.note(str(number), Verdict("stranded", f"reason {number}"))
    assert (len(report.findings), report.instances) == (FINDINGS + 1, 3 * FINDINGS)
