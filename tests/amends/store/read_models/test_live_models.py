"""Read models that have no table: folded when somebody asks, and so never behind."""

from __future__ import annotations

from dataclasses import replace

import pytest
from sqlalchemy import URL

from app.amends.projections.row_queries import ReadModelQueries
from app.amends.store.events.postgres_events import PostgresEvents
from domain.amends.errors import Conflict, NotFound
from domain.amends.event import Cause
from tests.amends.business.account import MoneyDeposited
from tests.amends.store.harness.sagas import store
from tests.amends.store.read_models.inline.client import moved, now, opened
from workflows.amends.ports.event_store import FeedCursor
from workflows.amends.projections.administration import ProjectionAdministration
from workflows.amends.projections.builds import ProjectionBuilds

live = replace(now, name="account_live", mode="live")
KNOWN = {("account_live", 1): live}


async def test_a_live_read_model_is_folded_for_whoever_asks_and_has_no_table(database: URL) -> None:
    async with store(database) as it:
        builds, events = ProjectionBuilds(KNOWN, it.projections), PostgresEvents(it.writer, it.reader)
        await builds.create_first_builds()
        assert await builds.all() == []
        views = ReadModelQueries(builds, events)
        assert await views.row("account_live", "a") is None
        await events.append(moved("a", opened("a", 5), *[MoneyDeposited(1)] * 1500))
        assert await views.row("account_live", "a") == {"account_id": "a", "balance": 1505, "last": "deposited"}
        assert await views.wait_for("account_live", FeedCursor(9, 9, 9), 0.0), "there is nothing to wait for"


async def test_what_needs_a_table_is_refused(database: URL) -> None:
    async with store(database) as it:
        builds = ProjectionBuilds(KNOWN, it.projections)
        views = ReadModelQueries(builds, PostgresEvents(it.writer, it.reader))
        with pytest.raises(Conflict, match="folded for one key at a time"):
            await views.rows("account_live", {}, None, 10)
        with pytest.raises(Conflict, match="has no table"):
            await ProjectionAdministration(builds).rebuild("account_live", Cause())
        with pytest.raises(NotFound, match="account_live"):
            await views.row("nothing", "a")
