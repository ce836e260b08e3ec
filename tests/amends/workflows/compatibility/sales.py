"""A saga that sells something, changes of its code, and the points at which it is parked before each of them."""

from __future__ import annotations

from dataclasses import fields
from functools import cache
from typing import Any

from tests.amends.workflows.compatibility.recorded import (
    CALLED,
    ReleaseGoods,
    changed_source,
    code_at_hand,
    deployed,
    parked_at,
    recordings,
)
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
    "fields of the request in another order": (("    item: str\n    price: int\n", "    price: int\n    item: str\n"),),
    "a field of the request renamed with an alias": (
        ("    price: int\n", '    cents: int = Field(validation_alias="price")\n'),
        ("@dataclass(frozen=True)\nclass Wanted", "@data(frozen=True)\nclass Wanted"),
        ("request.price", "request.cents"),
        (
            "import dataclass\n",
            "import dataclass\n\nfrom pydantic import Field\nfrom pydantic.dataclasses import dataclass as data\n",
        ),
    ),
    "a field of the request renamed": (
        ("    price: int\n", "    cents: int = 50\n"),
        ("request.price", "request.cents"),
    ),
    "a field with a default that is made in the request": (
        ("    price: int\n", "    price: int\n    tags: list[str] = field(default_factory=list)\n"),
        ("import dataclass\n", "import dataclass, field\n"),
    ),
    "a field with default that is given another value": (
        ("    price: int\n", '    price: int\n    note: str = ""\n'),
        ("self.charge_buyer(request)", 'self.charge_buyer(Wanted(request.item, request.price, "a gift"))'),
    ),
    "a field with default within a field of the request": (
        (
            "@dataclass(frozen=True)\nclass Wanted",
            '@dataclass(frozen=True)\nclass Note:\n    text: str = ""\n\n\n@dataclass(frozen=True)\nclass Wanted',
        ),
        ("    price: int\n", "    price: int\n    notes: tuple[Note, ...] = (Note(),)\n"),
    ),
    "an optional argument more": (
        (
            "async def reserve_courier(self, call: Call, item: str)",
            'async def reserve_courier(self, call: Call, item: str, by: str = "bike")',
        ),
        (
            "async def charge_buyer(self, call: Call, request: Wanted)",
            "async def charge_buyer(self, call: Call, request: Wanted, tip: int = 0)",
        ),
    ),
    "an optional argument more that is given": (
        (
            "async def charge_buyer(self, call: Call, request: Wanted)",
            "async def charge_buyer(self, call: Call, request: Wanted, tip: int = 0)",
        ),
        ("self.charge_buyer(request)", "self.charge_buyer(request, 5)"),
    ),
    "a field of the request removed": (
        ("    price: int\n", ""),
        ("request.price > 100", "request.item == 'piano'"),
    ),
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
SOLD, REFUSED = {"item": "lamp", "price": 50}, {"item": "piano", "price": 500}
RELEASED = ReleaseGoods("somebody")
PARKED: list[tuple[dict[str, Any], list[ReleaseGoods], int]] = [
    *((SOLD, [], point) for point in range(1, 7)),
    *((SOLD, [RELEASED], point) for point in range(6, 9)),
    *((REFUSED, [], point) for point in range(5, 8)),
]
"""The input of a saga, what it is told, and the commit before which its executor dies; the sixth point waits."""


@cache
def changed(*changes: str) -> Saga[Any, Any]:
    """The saga after changes. Raises NotTogether for those that do not go together."""
    (made,) = deployed(changed_source(BEFORE, [CHANGES[each] for each in changes]), "SellItem")
    return made


async def verdicts(after: Saga[Any, Any]) -> list[Verdict]:
    """The verdicts on the saga, parked at every point; each is what happens to it then."""
    before, said = changed(), list[Verdict]()
    for given, signals, point in PARKED:
        simulation = await parked_at(point, before, given, signals)
        commits, called = simulation.commits, len(CALLED)
        (recording,) = recordings(simulation.store)
        verdict = await judge(recording, {("sell-item", 1): after}, code_at_hand(simulation))
        assert (simulation.commits, len(CALLED)) == (commits, called)
        happened = await after_deploy(simulation, after, given)
        if (verdict.outcome, happened.outcome) != ("fits", "stuck"):  # else a bug lies ahead of what is recorded
            assert verdict == happened, (given, point)
        said.append(verdict)
    return said


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
