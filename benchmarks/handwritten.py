"""The same workflow as one writes it by hand on DBOS, tuned: five steps that each insert their event."""

from __future__ import annotations

import uuid
from typing import Any

from dbos import DBOS, DBOSConfig, SetWorkflowID
from psycopg_pool import AsyncConnectionPool
from sqlalchemy import URL

from app.amends.postgres.urls import connection_settings, conninfo

INSERT = """
insert into amends.events (id, stream, version, type, schema_version, data, metadata)
values (%s, %s, %s, 'bench-happened', 1, '{"number": 1}', '{}')"""

pool: AsyncConnectionPool[Any]


async def append_event(stream: str, version: int) -> None:
    async with pool.connection() as connection:
        await connection.execute(INSERT, (uuid.uuid4(), stream, version))


@DBOS.workflow()
async def five_steps(stream: str) -> str:
    for version in range(1, 6):
        await DBOS.run_step_async({"name": "append"}, append_event, stream, version)
    return stream


class Handwritten:
    """DBOS in this event loop, with pre-ping off and the same pools as the other contestant."""

    def __init__(self, url: URL) -> None:
        self._url = url

    async def __aenter__(self) -> Handwritten:
        global pool
        keywords = connection_settings(self._url, "bench") | {"prepare_threshold": 0}
        pool = AsyncConnectionPool(conninfo(self._url), min_size=8, max_size=8, open=False, kwargs=keywords)
        await pool.open(wait=True)
        config: DBOSConfig = {
            "name": "handwritten",
            "system_database_url": conninfo(self._url),
            "run_migrations": False,
            "sys_db_pool_size": 8,
            "max_executor_threads": 8,
            "db_engine_kwargs": {"pool_pre_ping": False},
            "log_level": "WARNING",
        }
        DBOS(config=config)
        DBOS.launch()
        return self

    async def __aexit__(self, *_: object) -> None:
        DBOS.destroy()
        await pool.close()

    async def run(self, id: str) -> None:
        """One workflow, from its start to its recorded end."""
        with SetWorkflowID(id):
            handle = await DBOS.start_workflow_async(five_steps, f"bench-{id}")
        await handle.get_result()
