"""What a check says of recorded sagas before a deploy is what happens to them after it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.amends.workflows.compatibility.recorded import MemoryRecordings, code_at_hand, parked_at, recordings
from tests.amends.workflows.compatibility.sales import CHANGES, SOLD, changed, verdicts
from workflows.amends.compatibility.check import EXAMPLES, FINDINGS, TypeReport, check_recordings
from workflows.amends.compatibility.replay_log import Verdict

FINDS: dict[str, set[str]] = {
    "nothing": {"fits"},
    "the body of a step": {"fits"},
    "a step at the end": {"fits"},
    "another result": {"fits"},
    "a field with default in the request": {"fits"},
    "fields of the request in another order": {"fits"},
    "a field of the request renamed with an alias": {"fits"},
    "a field with a default that is made in the request": {"fits"},
    "a field with default within a field of the request": {"fits"},
    "an optional argument more": {"fits"},
    "a timeout of the wait": {"fits"},
    "other code for a refusal": {"fits"},
    "a field without default in the request": {"stranded"},
    "a field of the request removed": {"stranded"},
    "a field of the request renamed": {"stranded"},
    "a field retyped in the request": {"stranded"},
    "a bug between the steps": {"fits", "stuck"},
}
"""What a check finds if not some instances that go on and some that are stranded."""


@pytest.mark.parametrize("change", CHANGES)
async def test_the_verdict_on_a_change_is_what_happens(change: str) -> None:
    outcomes = {each.outcome for each in await verdicts(changed(change))}
    assert outcomes == (FINDS.get(change) or {"fits", "stranded"})


async def test_a_report_counts_by_type_and_reason_and_names_a_few() -> None:
    simulation = await parked_at(9, changed(), SOLD)
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
