"""A saga that is moved to another version while executors look for work is run by one of the two, never by both."""

from __future__ import annotations

import asyncio

from sqlalchemy import URL

from domain.amends.event import Cause
from tests.amends.store.harness.sagas import started, store
from workflows.amends.history import SagaMigrated, saga_histories
from workflows.amends.ports.event_store import FeedCursor, new_amends_event
from workflows.amends.ports.saga_store import VersionMove

SAGAS = 60


async def test_a_claim_and_a_move_of_one_saga_never_both_happen_to_the_old_version(database: URL) -> None:
    async with store(database) as it:
        for executor, types in (("old", ["place-order:1"]), ("new", ["place-order:1", "place-order:2"])):
            await it.sagas.register_executor(executor, "here", 1, 1.0, types, 3600.0)
        ids = [await started(it, owner=None) for _ in range(SAGAS)]
        moved, claimed = set[str](), set[str]()

        async def move(id: str) -> None:
            event = new_amends_event(saga_histories.stream(id), SagaMigrated(1, 2, "why"), Cause())
            if isinstance(await it.sagas.migrate(VersionMove(id, 1, 2, 1), event, None), FeedCursor):
                moved.add(id)

        async def claim() -> None:
            for number in range(SAGAS // 2):
                found = await it.sagas.claim("old", f"owner {number}", ["place-order:1"], 1)
                claimed.update(each.id for each in found)

        await asyncio.gather(claim(), *(move(id) for id in reversed(ids)), claim())
        assert moved | claimed == set(ids)
        assert not moved & claimed
        assert moved
        assert claimed
        after = await it.sagas.claim("new", "the owner", ["place-order:2"], SAGAS)
        assert {each.id for each in after} == moved
