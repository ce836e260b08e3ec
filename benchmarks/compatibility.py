"""A check of new code on a hundred thousand waiting sagas, beside a takeover, which replays them with all effects."""

from __future__ import annotations

import asyncio
import json
import resource
import subprocess
import sys
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import uvloop
from pydantic import JsonValue
from rich.console import Console
from rich.progress import Progress
from rich.table import Table
from sqlalchemy import URL, make_url

from app.amends.postgres.urls import conninfo
from app.amends.store.sagas.recordings import PostgresRecordings
from benchmarks.amends import Amends
from benchmarks.store.filling import settle
from domain.amends.event import Cause
from workflows.amends.compatibility.check import check_recordings
from workflows.amends.compatibility.replay_log import FITS, CodeAtHand
from workflows.amends.compatibility.replaying import judge
from workflows.amends.ports.execution_log import SagaIdentity
from workflows.amends.ports.recordings import Recording
from workflows.amends.saga import Call, Saga, signal, step

SAGAS = 100_000
REAL = 4
STEPS = 5
TAKEN = 5_000
TOGETHER = 64
ROUNDS = 3


@signal("release")
class Release:
    by: str


@dataclass(frozen=True)
class Wanted:
    item: str
    price: int


@dataclass(frozen=True)
class Parked(Saga[Wanted, str], name="parked", signals=(Release,)):
    async def run(self, request: Wanted) -> str:
        for number in range(STEPS):
            await self.note(request, number)
        told = await self.receive(Release)
        return told.by if told else ""

    @step(compensation=None)
    async def note(self, call: Call, request: Wanted, number: int) -> str:
        return f"{request.item} {number}"


COPIES = {
    "workflow_status": """
insert into dbos.workflow_status
select (jsonb_populate_record(t, jsonb_build_object('workflow_uuid', t.workflow_uuid || '-' || n))).*
  from dbos.workflow_status as t, generate_series(1, %(copies)s) as n where t.workflow_uuid = any (%(real)s)""",
    "workflow_input": """
insert into dbos.workflow_input
select (jsonb_populate_record(t, jsonb_build_object('workflow_uuid', t.workflow_uuid || '-' || n))).*
  from dbos.workflow_input as t, generate_series(1, %(copies)s) as n where t.workflow_uuid = any (%(real)s)""",
    "operation_outputs": """
insert into dbos.operation_outputs
select (jsonb_populate_record(t, jsonb_build_object('workflow_uuid', t.workflow_uuid || '-' || n))).*
  from dbos.operation_outputs as t, generate_series(1, %(copies)s) as n where t.workflow_uuid = any (%(real)s)""",
    "sagas": """
insert into amends.sagas
select (jsonb_populate_record(t, jsonb_build_object('id', t.id || '-' || n, 'root', t.id || '-' || n))).*
  from amends.sagas as t, generate_series(1, %(copies)s) as n where t.id = any (%(real)s)""",
    "events": """
insert into amends.events (id, stream, version, type, schema_version, data, metadata)
select gen_random_uuid(), t.stream || '-' || n, t.version, t.type, t.schema_version, t.data, t.metadata
  from amends.events as t, generate_series(1, %(copies)s) as n
 where t.stream = any (select 'saga-' || id from unnest(%(real)s::text[]) as id)
 order by n, t.stream, t.version""",
}
QUEUE = """
with taken as (
    select id from amends.sagas where name = 'parked' and status = 'waiting' limit %s
), queued as (
    update dbos.workflow_status set status = 'ENQUEUED', executor_id = null, owner_xid = null, queue_name = 'amends'
     where workflow_uuid in (select id from taken)
)
update amends.sagas set status = 'running', waiting_for = null, settled = false where id in (select id from taken)"""
"""What is left of sagas whose executor has died, and was ended by another one."""


def compare(url: URL, console: Console) -> dict[str, float]:
    """Fill the database, and let a check and a takeover take turns."""
    with Progress(console=console) as progress:
        task = progress.add_task("check", total=ROUNDS + 1)
        _run("begin", url)
        fill(url)
        progress.advance(task)
        rounds = []
        for _ in range(ROUNDS):
            found = _run("check", url) | _run("take_over", url) | _run("replay_alone", url)
            checked = found["checked_per_second"]
            found["check_to_takeover"] = checked / found["taken_over_per_second"]
            found["check_to_replay_alone"] = checked / found["replayed_alone_per_second"]
            rounds.append(found)
            progress.advance(task)
    figures = {name: sorted(each[name] for each in rounds)[ROUNDS // 2] for name in rounds[0]}
    table = Table("what", "measured", "goal", title=f"{SAGAS} waiting sagas")
    for what, goal in GOALS.items():
        table.add_row(what.replace("_", " "), f"{figures[what]:,.1f}", goal)
    console.print(table)
    return figures


GOALS = {
    "checked_per_second": "",
    "taken_over_per_second": "",
    "replayed_alone_per_second": "",
    "check_to_takeover": "0.5",
    "check_to_replay_alone": "0.5",
    "check_memory_mb": "200",
    "check_memory_grows_mb": "20",
}


def fill(url: URL) -> None:
    """Copy the real ones until there are enough."""
    real = [f"parked-{number}" for number in range(REAL)]
    with psycopg.connect(conninfo(url), autocommit=True) as sql:
        sql.execute("reset role")
        for statement in COPIES.values():
            sql.execute(statement.encode(), {"real": real, "copies": SAGAS // REAL - 1})
        sql.execute("vacuum (analyze)")
    settle(url)


def _run(part: str, url: URL) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.compatibility", part, conninfo(url)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[1], check=False)
    if done.returncode:
        raise RuntimeError(f"{part} failed:\n{done.stderr[-2000:]}")
    figures: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return figures


async def begin(url: URL) -> dict[str, float]:
    """Start the real ones, until each waits."""
    async with Amends(url, Parked()) as amends:
        for number in range(REAL):
            await amends.run_saga("parked", Wanted("lamp", number), f"parked-{number}")
    return {}


async def check(url: URL) -> dict[str, float]:
    """Replay all of them."""
    async with Amends(url, Parked(), serving=False) as amends:
        client, looked = amends.client, list[float]()
        began = time.perf_counter()
        report = await check_recordings(
            PostgresRecordings(amends.reader),
            client.sagas,
            CodeAtHand(client.child_start_request, lambda: datetime.now(UTC)),
            lambda seen: looked.append(_memory()) if seen % (SAGAS // 10) == 0 else None,
        )
        took = time.perf_counter() - began
        assert report.fits == report.instances == SAGAS, report
    return {
        "checked_per_second": SAGAS / took,
        "check_memory_mb": looked[-1],
        "check_memory_grows_mb": looked[-1] - looked[0],
    }


async def replay_alone(url: URL) -> dict[str, float]:
    """What a takeover does of it without claims and commits: read what is recorded of each saga, and replay that."""
    async with Amends(url, Parked(), serving=False) as amends:
        client, slots = amends.client, asyncio.Semaphore(TOGETHER)
        code = CodeAtHand(client.child_start_request, lambda: datetime.now(UTC))
        rows = await amends.reader.tuples("select id from amends.sagas where status = 'waiting' limit %s", (TAKEN,))

        async def one(id: str) -> None:
            async with slots:
                replay = await amends.store.load_replay_state(id)
                assert replay is not None
                identity = SagaIdentity(id, id, Cause(workflow_id=id), None)
                given: JsonValue = {"item": "lamp", "price": int(id.split("-")[1])}
                recording = Recording("parked", 1, identity, "waiting", given, None, replay)
                assert await judge(recording, client.sagas, code) == FITS

        began = time.perf_counter()
        await asyncio.gather(*(one(id) for (id,) in rows))
        return {"replayed_alone_per_second": TAKEN / (time.perf_counter() - began)}


async def take_over(url: URL) -> dict[str, float]:
    """Take over some of them, until each waits again."""
    with psycopg.connect(conninfo(url), autocommit=True) as sql:
        sql.execute(QUEUE, (TAKEN,))
    began = time.perf_counter()
    async with Amends(url, Parked()) as amends:
        launched = time.perf_counter()
        while (await _waiting(amends)) < SAGAS:  # noqa: ASYNC110 (a row in the database has no event)
            await asyncio.sleep(0.05)
        took = time.perf_counter() - began
    return {"taken_over_per_second": TAKEN / took, "launch_seconds": launched - began}


async def _waiting(amends: Amends) -> int:
    rows = await amends.reader.rows("select count(*) as waiting from amends.sagas where status = 'waiting'", ())
    return int(rows[0]["waiting"])


def _memory() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


async def main(part: str, url: URL) -> None:
    parts: dict[str, Any] = {"begin": begin, "check": check, "take_over": take_over, "replay_alone": replay_alone}
    print(json.dumps(await parts[part](url)))


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1], make_url(sys.argv[2])))
