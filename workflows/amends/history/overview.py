"""The overview of all sagas: one line for each, with how it ended, how long it took, and what went wrong."""

from __future__ import annotations

from domain.amends.projection import Projection, Recorded
from workflows.amends.history.histories import saga_histories
from workflows.amends.history.row import SagaRow
from workflows.amends.history.saga_event import OverviewEvent


def evolve(row: SagaRow | None, recorded: Recorded[OverviewEvent]) -> SagaRow | None:
    return recorded.event.overview_row(row, recorded.key, recorded.at)


workflow_overview = Projection(
    "workflow_overview",
    version=1,
    of=saga_histories,
    evolve=evolve,
    key="id",
    indexes=[("status", "started_at"), ("name", "started_at"), ("reference",)],
)
