"""Checks every unfinished saga against the code at hand, and counts by type and version what becomes of them."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, NamedTuple

from workflows.amends.compatibility.interrupting import interrupting
from workflows.amends.compatibility.replay_log import FITS, CodeAtHand, Outcome, Verdict
from workflows.amends.compatibility.replaying import judge
from workflows.amends.engine.recorded_steps import last_recorded_step
from workflows.amends.ports.recordings import Recording, Recordings
from workflows.amends.saga import Saga

EXAMPLES: Final = 5
"""How many ids of instances are kept for each finding."""
FINDINGS: Final = 50
"""How many findings are kept for each type and version; those of further reasons are counted as one."""
OTHERS: Final = "other reasons"
BECOMES: Final[Mapping[Outcome, str]] = {
    "fits": "go on",
    "stranded": "would be stranded",
    "stuck": "would get stuck",
    "hangs": "would hang",
    "no-code": "would wait",
}
"""What becomes of instances, in words."""
HANGING: Final = 5
"""How many instances that hang at one point of a type are replayed; further ones are counted without it."""

ALONE: Final = 3
"""How many times as long `run` may wait in a replay that is made once more, alone."""


@dataclass
class Finding:
    """Instances of one type and version that do not go on, for the same reason; `examples` are ids of some."""

    outcome: Outcome
    reason: str
    count: int = 0
    examples: list[str] = field(default_factory=list)


@dataclass
class TypeReport:
    """What becomes of the instances of one type and version."""

    name: str
    version: int
    fits: int = 0
    findings: list[Finding] = field(default_factory=list)
    served: bool | None = None
    """Whether an executor that runs now has code for them; None if none runs, or nobody knows."""

    @property
    def instances(self) -> int:
        """How many unfinished ones there are."""
        return self.fits + sum(each.count for each in self.findings)

    def note(self, id: str, verdict: Verdict) -> None:
        """Count an instance."""
        if verdict.outcome == "fits":
            self.fits += 1
            return
        found = self._finding(verdict.outcome, verdict.reason)
        found.count += 1
        if len(found.examples) < EXAMPLES:
            found.examples.append(id)

    def _finding(self, outcome: Outcome, reason: str) -> Finding:
        known = next((each for each in self.findings if (each.outcome, each.reason) == (outcome, reason)), None)
        if known is None and len(self.findings) >= FINDINGS and reason != OTHERS:
            return self._finding(outcome, OTHERS)
        if known is None:
            known = Finding(outcome, reason)
            self.findings.append(known)
        return known


@dataclass
class CompatibilityReport:
    """What becomes of all unfinished instances, by type and version."""

    types: dict[tuple[str, int], TypeReport] = field(default_factory=dict)

    @property
    def instances(self) -> int:
        """How many unfinished instances there are."""
        return sum(each.instances for each in self.types.values())

    @property
    def fits(self) -> int:
        """How many of them go on."""
        return sum(each.fits for each in self.types.values())

    def note(self, name: str, version: int, id: str, verdict: Verdict) -> None:
        """Count an instance."""
        if (name, version) not in self.types:
            self.types[name, version] = TypeReport(name, version)
        self.types[name, version].note(id, verdict)


async def check_recordings(
    recordings: Recordings,
    sagas: Mapping[tuple[str, int], Saga[Any, Any]],
    code: CodeAtHand,
    seen: Callable[[int], None] = lambda _: None,
) -> CompatibilityReport:
    """Replay all recordings, page by page; `seen` is called with how many of them were replayed by then.

    The recordings of a page are replayed at the same time, and the next page is read meanwhile: two are held in memory.
    """
    report, judging, count = CompatibilityReport(), _Judging(sagas, code), 0
    with interrupting(code.busy_seconds):
        page = await recordings.page("")
        while page:
            coming = asyncio.ensure_future(recordings.page(page[-1].place))
            try:
                for each, verdict in zip(page, await judging.verdicts(page), strict=True):
                    report.note(each.name, each.version, each.place, verdict)
                count += len(page)
                seen(count)
                page = await coming
            finally:
                coming.cancel()
    return report


class _Judging:
    """Judges pages of recordings; of code that hangs it tries a few at each point, and not all of them."""

    def __init__(self, sagas: Mapping[tuple[str, int], Saga[Any, Any]], code: CodeAtHand) -> None:
        limits = replace(code.limits, between=ALONE * code.limits.between)
        self._sagas, self._code, self._patient = sagas, code, replace(code, limits=limits)
        self._hanging: Counter[_Point] = Counter()

    async def verdicts(self, page: Sequence[Recording]) -> list[Verdict]:
        """What becomes of each of these."""
        verdicts = await asyncio.gather(*(self._verdict(each) for each in page))
        for number, each in enumerate(page):
            if verdicts[number].hung == "waits":
                verdicts[number] = await self._verdict_alone(each)  # others may have had its time
        return verdicts

    async def _verdict(self, recording: Recording) -> Verdict:
        if (known := self._known(recording)) is not None:
            return known
        verdict = await judge(recording, self._sagas, self._code)
        self._hanging[_point(recording)] += verdict.hung == "computes"
        return verdict

    async def _verdict_alone(self, recording: Recording) -> Verdict:
        if (known := self._known(recording)) is not None:
            return known
        verdict = await judge(recording, self._sagas, self._patient)
        self._hanging[_point(recording)] += verdict.hung is not None
        return verdict

    def _known(self, recording: Recording) -> Verdict | None:
        """The verdict on all further instances at a point at which several hang."""
        point = _point(recording)
        if self._hanging[point] < HANGING:
            return None
        if recording.status == "stuck":
            return FITS
        return Verdict("hangs", f"not replayed, for {HANGING} others hang after step {point.step}")


class _Point(NamedTuple):
    """Where instances of one type and version stand."""

    name: str
    version: int
    step: int


def _point(recording: Recording) -> _Point:
    return _Point(recording.name, recording.version, last_recorded_step(recording.replay))
