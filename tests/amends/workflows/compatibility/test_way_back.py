"""What newer code has recorded older code reads whole, or leaves: then the newer code goes on, and nothing is lost."""

from __future__ import annotations

from typing import Any, Final

import pytest

from tests.amends.workflows.compatibility.recorded import CALLED, code_at_hand, deployed, parked_at, recordings
from workflows.amends.compatibility.replaying import judge
from workflows.amends.saga import Saga
from workflows.amends.simulation.simulation import ID, Simulation

OLDER: Final = '''"""Send a letter: print it, wait for the stamp, post it."""

from __future__ import annotations

from dataclasses import dataclass

from tests.amends.workflows.compatibility.recorded import CALLED
from workflows.amends.call import Call
from workflows.amends.saga import Saga, signal, step


@dataclass(frozen=True)
class Letter:
    to: str


@dataclass(frozen=True)
class Sheet:
    number: int


@signal("stamped")
class Stamped:
    by: str


@dataclass(frozen=True)
class FoldSheet(Saga[str, Sheet], name="fold-sheet"):
    async def run(self, request: str) -> Sheet:
        return Sheet(2)


@dataclass(frozen=True)
class SendLetter(Saga[Letter, str], name="send-letter", signals=(Stamped,), children=(FoldSheet,)):
    async def run(self, request: Letter) -> str:
        sheet = await self.print_text(request.to)
        folded = await self.child(FoldSheet, request.to)
        stamped = await self.receive(Stamped)
        await self.post_letter(request.to, str(getattr(request, "how", "")))
        return f"{request.to} {sheet} {folded} {stamped}"

    @step(compensation=None)
    async def print_text(self, call: Call, to: str) -> Sheet:
        return Sheet(1)

    @step(compensation=None)
    async def post_letter(self, call: Call, to: str, how: str) -> None:
        CALLED.append(f"{call.key} {how}")
'''
NEWER: Final = {
    "an input": (
        ("    to: str\n", '    to: str\n    how: str = "by sea"\n'),
        "the recorded input does not fit its type: how",
    ),
    "a result": (
        ("    number: int\n", '    number: int\n    colour: str = "white"\n'),
        "the recorded result of print_text does not fit its type: colour",
    ),
    "a signal": (
        ("    by: str\n", "    by: str\n    worth: int = 1\n"),
        "signal stamped, as it was told, does not fit its type: worth",
    ),
}


async def verdict(simulation: Simulation, saga: Saga[Any, Any], *children: Saga[Any, Any]) -> str:
    known = {(each.definition.name, each.definition.version): each for each in (saga, *children)}
    (mine,) = (each for each in recordings(simulation.store) if each.id == ID)
    return (await judge(mine, known, code_at_hand(simulation, saga, *children))).reason


async def go_on(simulation: Simulation, sagas: list[Saga[Any, Any]], given: Any) -> str:
    simulation.sagas = sagas
    simulation.store.rows[ID].workflow.enqueue(simulation.clock)
    await simulation.run(sagas[0], given)
    return simulation.store.rows[ID].status


@pytest.mark.parametrize("case", NEWER)
async def test_what_older_code_would_lose_it_leaves_to_newer_code(case: str) -> None:
    (before, after), reason = NEWER[case]
    assert before in OLDER
    older = deployed(OLDER, "SendLetter", "FoldSheet")
    newer = deployed(OLDER.replace(before, after), "SendLetter", "FoldSheet")
    given = newer[0].definition.input("ann")
    CALLED.clear()
    simulation = await parked_at(99, newer[0], {"to": "ann"}, children=newer[1:])
    assert simulation.store.rows[ID].status == "waiting"
    simulation.signal(newer[0].definition.signals["stamped"]("bob"))
    told = f"{reason}: is recorded, but the code here does not know it"
    assert await verdict(simulation, *older) == told
    assert await go_on(simulation, older, older[0].definition.input("ann")) == "stranded"
    assert simulation.store.rows[ID].reason == told
    assert [key for key in CALLED if key.startswith(ID)] == []
    assert await verdict(simulation, *newer) == ""
    assert await go_on(simulation, newer, given) == "completed"
    posted = [key for key in CALLED if key.startswith(ID)]
    CALLED.clear()
    assert posted == [f"{ID}.post_letter.1.0 {'by sea' if case == 'an input' else ''}"]
