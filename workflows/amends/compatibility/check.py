"""Checks every unfinished saga against the code at hand, and counts by type and version what becomes of them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from workflows.amends.compatibility.replay_log import CodeAtHand, Outcome, Verdict
from workflows.amends.compatibility.replaying import judge
from workflows.amends.ports.recordings import Recordings
from workflows.amends.saga import Saga

EXAMPLES: Final = 5
"""How many ids of instances are kept for each finding."""
FINDINGS: Final = 50
"""How many findings are kept for each type and version; those of further reasons are counted as one."""
OTHERS: Final = "other reasons"


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

    One page is held in memory, and its recordings are replayed at the same time.
    """
    report, after, count = CompatibilityReport(), "", 0
    while page := await recordings.page(after):
        verdicts = await asyncio.gather(*(judge(each, sagas, code) for each in page))
        for each, verdict in zip(page, verdicts, strict=True):
            report.note(each.name, each.version, each.id, verdict)
        after, count = page[-1].id, count + len(page)
        seen(count)
    return report
