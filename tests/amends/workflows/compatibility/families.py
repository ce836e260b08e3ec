"""A saga that delivers parcels, with a loop, a timer and a child, changes of its code, and where it is parked."""

from __future__ import annotations

from functools import cache
from typing import Any

from tests.amends.workflows.compatibility.recorded import changed_source, code_at_hand, deployed, parked_at, recordings
from workflows.amends.compatibility.replay_log import FITS, Verdict
from workflows.amends.compatibility.replaying import judge
from workflows.amends.saga import Saga
from workflows.amends.simulation.simulation import Simulation

BEFORE = '''"""Deliver parcels: pack them, wait a minute, have a label printed, send them."""

from __future__ import annotations

from dataclasses import dataclass

from tests.amends.workflows.compatibility.recorded import NothingToSend, PackNow
from workflows.amends.saga import Call, Saga, Undo, seconds, step


@dataclass(frozen=True)
class Parcels:
    names: list[str]


@dataclass(frozen=True)
class PrintLabel(Saga[str, str], name="print-label"):
    """Prints a label."""

    async def run(self, request: str) -> str:
        await self.warm_up()
        return await self.print_text(request)

    @step(compensation=None)
    async def warm_up(self, call: Call) -> None:
        pass

    @step(compensation=None)
    async def print_text(self, call: Call, text: str) -> str:
        return text


@dataclass(frozen=True)
class DeliverParcels(Saga[Parcels, int], name="deliver-parcels", children=(PrintLabel,)):
    """Delivers parcels."""

    async def run(self, request: Parcels) -> int:
        for name in request.names:
            await self.pack(name)
        await self.sleep(seconds(60))
        label = await self.child(PrintLabel, request.names[0])
        await self.gather(self.child(PrintLabel, "north"), self.pack(label))
        await self.send(label)
        return len(request.names)

    @step
    async def pack(self, call: Call, name: str) -> None:
        if name == "broken":
            raise ValueError(name)

    @pack.compensation
    async def unpack(self, undo: Undo[None], name: str) -> None:
        pass

    @step(pivot=True)
    async def send(self, call: Call, label: str) -> None:
        raise ValueError("nobody is there")
'''

CHANGES: dict[str, tuple[tuple[str, str], ...]] = {
    "nothing": (),
    "the loop goes backwards": (("in request.names:", "in reversed(request.names):"),),
    "the loop ends earlier": (("in request.names:", "in request.names[:1]:"),),
    "the loop goes on": (("in request.names:", 'in [*request.names, "extra"]:'),),
    "another duration": (("seconds(60)", "seconds(5)"),),
    "no timer": (("        await self.sleep(seconds(60))\n", ""),),
    "another input of a child": (("self.child(PrintLabel, request.names[0])", 'self.child(PrintLabel, "other")'),),
    "another input of a parallel child": (('PrintLabel, "north"', 'PrintLabel, "south"'),),
    "a parallel step more": (("self.pack(label))", 'self.pack(label), self.pack("more"))'),),
    "another step in the child": (("warm_up", "heat_up"),),
    "another result of the child": (
        ("Saga[str, str]", "Saga[str, int]"),
        ("run(self, request: str) -> str", "run(self, request: str) -> int"),
        ("return await self.print_text(request)", "return len(await self.print_text(request))"),
        ("        await self.gather(", "        label = str(label)\n        await self.gather("),
    ),
    "a step instead of the child": (
        ("label = await self.child(PrintLabel, request.names[0])", "label = request.names[0]"),
        ("        await self.gather(", "        await self.pack(label)\n        await self.gather("),
    ),
    "the pivot renamed": (("send", "hand_over"),),
    "the child left out": (
        ("label = await self.child(PrintLabel, request.names[0])", "label = request.names[0]"),
        ('self.child(PrintLabel, "north"), ', ""),
    ),
    "no parallel child": (('self.child(PrintLabel, "north"), ', ""),),
    "a signal in place of the timer": (
        ("await self.sleep(seconds(60))", "await self.receive(PackNow, timeout=seconds(60))"),
        ('name="deliver-parcels", ', 'name="deliver-parcels", signals=(PackNow,), '),
    ),
    "a refusal in place of the child": (
        ("label = await self.child(PrintLabel, request.names[0])", "raise NothingToSend()"),
    ),
    "an end in place of the child": (("label = await self.child(PrintLabel, request.names[0])", "return 0"),),
}
GIVEN = {"names": ["a", "b"]}
POINTS = range(1, 20)


@cache
def changed(*changes: str) -> list[Saga[Any, Any]]:
    """The parent and its child after changes. Raises NotTogether for those that do not go together."""
    return deployed(changed_source(BEFORE, [CHANGES[each] for each in changes]), "DeliverParcels", "PrintLabel")


async def verdicts(after: list[Saga[Any, Any]]) -> list[Verdict]:
    """The verdicts on the sagas, parked at every point; each is what happens to them then."""
    (before, child), said = changed(), list[Verdict]()
    known = {(saga.definition.name, saga.definition.version): saga for saga in after}
    for point in POINTS:
        simulation = await parked_at(point, before, GIVEN, children=[child])
        found = {
            recording.id: await judge(recording, known, code_at_hand(simulation, *after))
            for recording in recordings(simulation.store)
        }
        happened = await after_deploy(simulation, after)
        for id, verdict in found.items():
            assert happened[id] == verdict, (point, id)
        said += found.values()
    return said


async def after_deploy(parked: Simulation, sagas: list[Saga[Any, Any]]) -> dict[str, Verdict]:
    """What becomes of each saga after executors with this code have gone on with all of them; stuck ones are retried.

    Each of them gets stuck at its last step, which has no answer, if it comes there.
    """
    parked.sagas = sagas
    for id, row in parked.store.rows.items():
        if row.status == "stuck":
            parked.handle_stuck("retry", id=id)
    await parked.run(sagas[0], GIVEN)
    rows = parked.store.rows.items()
    return {id: Verdict("stranded", row.reason or "") if row.status == "stranded" else FITS for id, row in rows}
