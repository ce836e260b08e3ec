"""A new event of sagas is declared in one place, its class: by that it is read, shown, replayed, listed and masked."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from pydantic import JsonValue

from app.amends.cli.timeline.entries import timeline_entries
from app.amends.schema.catalogue import load_catalogue
from app.amends.schema.shapes import KnownShape, ShapeKey, loaded_shapes
from domain.amends.event import event
from domain.amends.testing import recorded_events
from tests.amends.app.schema.test_masks import Asking, server, stored
from workflows.amends.history import OverviewEvent, SagaEvent, SagaStarted, ValueTypeSource, saga_histories, state_of
from workflows.amends.history.overview import workflow_overview
from workflows.amends.history.replay_state import ReplayFold
from workflows.amends.history.row import SagaRow
from workflows.amends.history.state import StateFold
from workflows.amends.ports.event_store import load_event_json
from workflows.amends.redaction.shapes import shape_of

NOW = datetime(2026, 1, 1, tzinfo=UTC)
STARTED = SagaStarted("asking", 1, "4711", "x", "Ann")


def forget() -> None:
    """Let those who look up once which events there are look again."""
    for each in (saga_histories, workflow_overview):
        vars(each).pop("vocabulary", None)


@pytest.fixture
def paused() -> Iterator[type[Any]]:
    """The one place."""

    @event("saga-paused")
    class SagaPaused(OverviewEvent):
        """Somebody wants the saga to do nothing for a while, and answered something."""

        slot: int
        until: datetime
        answer: JsonValue

        def apply_to_state(self, state: StateFold, at: datetime | None) -> None:
            state.set_saga_fields(status="waiting", waiting_for="a pause", waiting_until=self.until)

        def apply_to_replay(self, replay: ReplayFold) -> None:
            replay.waits[self.slot] = self.until

        def overview_columns(self, row: SagaRow, at: datetime) -> Mapping[str, Any]:
            return {"status": "waiting", "waiting_for": "a pause"}

        @classmethod
        def timeline_summary(cls, data: Mapping[str, Any], saga: str) -> str:
            return f"{saga} until {data['until']}"

        @classmethod
        def value_types(cls, data: Mapping[str, Any]) -> Mapping[str, ValueTypeSource]:
            return {"answer": ValueTypeSource("signal", "answer")}

    forget()
    yield SagaPaused
    del SagaPaused.__event__  # type: ignore[attr-defined]
    forget()


@pytest.fixture
def happened(paused: type[Any]) -> SagaEvent:
    made: SagaEvent = paused(3, NOW + timedelta(hours=1), {"by": "Ann", "yes": True})
    return made


def test_it_is_read(happened: SagaEvent) -> None:
    data = {"slot": 3, "until": "2026-01-01T01:00:00Z", "answer": {"by": "Ann", "yes": True}}
    written = stored("saga-paused", data)
    assert load_event_json(saga_histories.vocabulary, written.type, written.data_json) == happened


def test_it_is_shown_in_the_state(happened: SagaEvent) -> None:
    state = state_of([(NOW, STARTED), (NOW, happened)])
    assert (state.status, state.waiting_for, state.waiting_until) == ("waiting", "a pause", NOW + timedelta(hours=1))
    assert saga_histories.fold([STARTED, happened]) == state


def test_it_is_replayed(happened: SagaEvent) -> None:
    fold, last = ReplayFold(), uuid4()
    fold.add_events([(uuid4(), STARTED), (last, happened)])
    replay = fold.state("running")
    assert replay.waits == {3: NOW + timedelta(hours=1)}
    assert (replay.version, replay.last_event) == (2, last)


def test_it_is_listed(happened: SagaEvent, paused: type[Any]) -> None:
    assert paused in workflow_overview.vocabulary.classes, "the read model follows it"
    events: list[Any] = [STARTED, happened]
    row = workflow_overview(recorded_events("saga-x", *events, at=NOW))["x"]
    assert (row.status, row.waiting_for, row.changed_at) == ("waiting", "a pause", NOW + timedelta(seconds=1))


def test_it_has_a_line_in_the_timeline(paused: type[Any]) -> None:
    shown = {"type": "saga-paused", "data": {"until": "noon"}, "metadata": {"workflow_id": "x"}}
    (moment,) = timeline_entries([shown | {"recorded_at": NOW.isoformat()}])
    assert moment.detail == "x until noon"


def test_it_is_masked(paused: type[Any]) -> None:
    known = [
        *loaded_shapes(load_catalogue(), [Asking.definition]),
        KnownShape(ShapeKey("event", "saga-paused", "1"), shape_of(paused)),
    ]
    data = {"slot": 3, "until": NOW.isoformat(), "answer": {"by": "Ann", "yes": True}}
    shown = server(known).event(stored("saga-paused", json.loads(json.dumps(data))))
    assert shown.data == data | {"answer": {"by": "***", "yes": True}}
    assert shown.masked == "marked"


def test_nothing_of_it_is_left_behind() -> None:
    assert "saga-paused" not in saga_histories.vocabulary.names
