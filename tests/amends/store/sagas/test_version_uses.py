"""What still needs the code of a version of a saga: nothing that may go on with it one day is forgotten."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import URL

from app.amends.store.sagas.versions import PostgresVersions, VersionUse
from tests.amends.store.harness.sagas import Store, started, store

FAMILY = "update amends.sagas set parent = %s, status = %s, finished_at = now() where id = %s"


async def uses(it: Store) -> dict[Any, VersionUse]:
    return dict(await PostgresVersions(it.reader).uses())


async def test_a_finished_saga_needs_no_code(database: URL) -> None:
    async with store(database) as it:
        assert await uses(it) == {}
        id = await started(it)
        assert await uses(it) == {("place-order", 1): VersionUse(unfinished=1)}
        await it.committer.run("update amends.sagas set status = 'compensated' where id = %s", (id,))
        assert await uses(it) == {}


async def test_one_that_was_terminated_may_be_taken_up(database: URL) -> None:
    async with store(database) as it:
        id = await started(it)
        await it.committer.run("update amends.sagas set status = 'abandoned' where id = %s", (id,))
        assert await uses(it) == {("place-order", 1): VersionUse(abandoned=1)}


@pytest.mark.parametrize(("status", "children"), [("completed", 2), ("compensated", 0)])
async def test_a_completed_child_is_needed_as_long_as_one_above_it_is_not_finished(
    database: URL, status: str, children: int
) -> None:
    async with store(database) as it:
        top, middle, low = [await started(it, id=id) for id in ("top", "middle", "low")]
        await it.committer.run("update amends.sagas set version = 2 where id = %s", (top,))
        await it.committer.run(FAMILY, (top, status, middle))
        await it.committer.run(FAMILY, (middle, status, low))
        found = await uses(it)
        assert found.get(("place-order", 1), VersionUse()) == VersionUse(children=children)
        assert found["place-order", 2] == VersionUse(unfinished=1)
        await it.committer.run("update amends.sagas set status = 'completed' where id = %s", (top,))
        assert await uses(it) == {}


async def test_a_server_that_knows_no_newer_version_starts_it(database: URL) -> None:
    async with store(database) as it:
        for executor, types in (("one", ["place-order:1"]), ("two", ["place-order:1", "place-order:10"])):
            await it.sagas.register_executor(executor, "here", 1, 1.0, types, 60.0)
        assert await uses(it) == {
            ("place-order", 1): VersionUse(servers=1),
            ("place-order", 10): VersionUse(servers=1),
        }
        await it.sagas.end_executors(["one"], "another", died=False)
        assert ("place-order", 1) not in await uses(it)
