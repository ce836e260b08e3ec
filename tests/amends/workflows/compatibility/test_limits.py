"""Code that does not come to its next step holds up neither a check nor the verdicts on other sagas."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.amends.workflows.compatibility.recorded import (
    MemoryRecordings,
    code_at_hand,
    deployed,
    parked_at,
    recordings,
)
from workflows.amends.compatibility.check import HANGING, check_recordings
from workflows.amends.saga import Saga
from workflows.amends.values.limits import Limits

SOURCE = '''"""Count to two."""

import asyncio
import time
from dataclasses import dataclass

from workflows.amends.saga import Call, Saga, step


@dataclass(frozen=True)
class Wanted:
    item: str


@dataclass(frozen=True)
class Count(Saga[Wanted, str], name="count"):
    async def run(self, request: Wanted) -> str:
        await self.one(request.item)
        await self.two(request.item)
        return request.item

    @step(compensation=None)
    async def one(self, call: Call, item: str) -> None: ...

    @step(compensation=None)
    async def two(self, call: Call, item: str) -> None: ...
'''
BEFORE_TWO = "        await self.two(request.item)\n"
HANGS = {
    "an await that never ends": "await asyncio.Event().wait()",
    "a busy loop": "while True: pass",
    "a call that blocks": "time.sleep(3600)",
    "a busy loop that is not to be stopped": """
        while True:
            try:
                while True: pass
            except BaseException:
                if item_seen: break
                item_seen = True
""".strip(),
}
REASONS = {
    "an await that never ends": "a bug between the steps of count:1: run waits for something that is none of its "
    "words, since 0.75 s: what takes time belongs into a step.",
}
COMPUTES = "run does not return: it computes, or blocks, without an await"


def changed(hang: str) -> Saga[Any, Any]:
    source = SOURCE.replace(BEFORE_TWO, f"        item_seen = False\n        {HANGS[hang]}\n{BEFORE_TWO}")
    (made,) = deployed(source, "Count")
    return made


@pytest.mark.parametrize("hang", HANGS)
async def test_code_that_hangs_is_told_apart_and_tried_a_few_times(hang: str) -> None:
    (fine,) = deployed(SOURCE, "Count")
    simulation = await parked_at(2, fine, {"item": "lamp"})
    (parked,) = recordings(simulation.store)
    count = 10 * HANGING
    found = [replace(parked, identity=replace(parked.identity, id=f"s-{number:03}")) for number in range(count)]
    found += [replace(each, version=2, identity=replace(each.identity, id=f"t-{each.id}")) for each in found]
    found += [replace(each, status="stuck", identity=replace(each.identity, id=f"u-{each.id}")) for each in found]
    sagas = {("count", 1): changed(hang), ("count", 2): fine}
    code = replace(code_at_hand(simulation), limits=Limits(between=0.25), busy_seconds=0.2)
    report = await check_recordings(MemoryRecordings(found, 20), sagas, code)
    assert report.types["count", 2].fits == 2 * count
    assert report.types["count", 1].fits == count, "those that were stuck before are no worse off"
    tried, untried = sorted(report.types["count", 1].findings, key=lambda each: each.count)
    assert (tried.outcome, tried.count, tried.reason) == ("hangs", HANGING, REASONS.get(hang, COMPUTES))
    assert (untried.outcome, untried.count) == ("hangs", count - HANGING)
    assert untried.reason == f"not replayed, for {HANGING} others hang after step 1"
