"""The dry run of a bulk act: how many sagas it concerns, which come first, and what it would lead to."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from app.amends.bulk.bulk_acts import BulkActs
from app.amends.bulk.request import BulkRequest, require_size
from app.amends.store.sagas.summaries import SagaSummaries, SagaSummary
from domain.amends.errors import AmendsError, Contended, Unavailable
from workflows.amends.acts.dry_run import DryRun, LeadsTo, NextAction
from workflows.amends.acts.dry_runs import DryRuns
from workflows.amends.causes.normalised_error import normalised
from workflows.amends.client import SagaClient
from workflows.amends.values.printable import error_message

FIRST: Final = 10
"""How many sagas are shown."""
TRIED: Final = 200
"""How many sagas the act is tried out on."""
TOGETHER: Final = 8
LONGEST_SECONDS: Final = 10.0
"""How long it is tried out."""
EXAMPLES: Final = 5


@dataclass
class BulkOutcome:
    """What an act would lead to for several sagas: `next` happens to each, `problem` is why it would be refused."""

    leads_to: LeadsTo | None
    next: tuple[NextAction, ...]
    problem: str | None
    count: int = 0
    examples: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class BulkDryRun:
    """How many sagas a bulk act would concern, the first of them, and what it would lead to for `tried` of them."""

    count: int
    first: Sequence[SagaSummary]
    tried: int
    outcomes: Sequence[BulkOutcome]


class BulkDryRuns:
    """Tries bulk acts out; nothing is done, nothing written."""

    def __init__(self, acts: BulkActs, overview: SagaSummaries, dry_runs: DryRuns, client: SagaClient) -> None:
        self._acts, self._overview, self._dry_runs, self._client = acts, overview, dry_runs, client

    async def of(self, request: BulkRequest, expected: int | None) -> BulkDryRun:
        """What a bulk act would lead to. Raises Invalid and Conflict as its beginning would."""
        request.require_signal(self._client)
        chosen = await self._acts.chosen(request, TRIED)
        require_size(chosen.count, expected)
        rows = [row for id in chosen.first[:FIRST] if (row := await self._overview.row(id))]
        found, room = dict[object, BulkOutcome](), asyncio.Semaphore(TOGETHER)
        until = time.monotonic() + LONGEST_SECONDS

        async def attempt(id: str) -> DryRun | str | None:
            async with room:
                return await self._tried(id, request) if time.monotonic() < until else None

        tried = await asyncio.gather(*map(attempt, chosen.first))
        for id, each in zip(chosen.first, tried, strict=True):
            if each is not None:
                _note(found, id, each)
        outcomes = sorted(found.values(), key=lambda each: -each.count)
        return BulkDryRun(chosen.count, rows, len(tried) - tried.count(None), outcomes)

    async def _tried(self, id: str, request: BulkRequest) -> DryRun | str:
        """What would come of the act on a saga, or why it would be refused."""
        act = request.act
        try:
            if act.name == "signal":
                row = await self._overview.row(id)
                if row is not None:
                    act = request.signal_for(self._client, row.name, row.version)
            return await self._dry_runs.of(id, act)
        except (Unavailable, Contended):
            raise
        except AmendsError as refused:
            return normalised(error_message(refused))


def _note(found: dict[object, BulkOutcome], id: str, tried: DryRun | str) -> None:
    """Count what came of one; the ids of children differ, and are left out."""
    if isinstance(tried, str):
        made = BulkOutcome(None, (), tried)
    else:
        made = BulkOutcome(tried.leads_to, tuple(_without_child(each) for each in tried.next), None)
    known = found.setdefault((made.leads_to, made.next, made.problem), made)
    known.count += 1
    if len(known.examples) < EXAMPLES:
        known.examples.append(id)


def _without_child(each: NextAction) -> NextAction:
    return NextAction(each.kind, each.step, each.occurrence, each.compensation, None, each.calls)
