"""In a store of a million events, what is asked often is answered by an index: pages, lists, what servers look for."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import psycopg
import pytest
from psycopg._queries import PostgresQuery
from psycopg.adapt import Transformer
from psycopg.sql import SQL, Literal

from app.amends.doctor.database_checks import SQL as DOCTOR
from app.amends.http.routes.metrics import SQL as METRICS
from app.amends.postgres.embedded.server import EmbeddedPostgres
from app.amends.postgres.generations import SQL as GENERATIONS
from app.amends.postgres.urls import conninfo
from app.amends.projections import SQL as PROJECTIONS
from app.amends.store.events.writer import SQL as EVENTS
from app.amends.store.feed import SQL as FEED
from app.amends.store.outages import SQL as OUTAGES
from app.amends.store.sagas.causes import SQL as CAUSES
from app.amends.store.sagas.filters import CAUSE, CONDITIONS, conditions
from app.amends.store.sagas.heartbeats import SQL as EXECUTORS
from app.amends.store.sagas.postgres_sagas import SQL as SAGAS
from app.amends.store.sagas.recordings import AFTER, PAGE
from app.amends.store.sagas.recordings import SQL as RECORDINGS
from app.amends.store.sagas.replay_states import HISTORY_PAGE
from app.amends.store.shapes import SQL as SHAPES
from tests.amends.harness.databases import drop_database, fresh_database
from tests.amends.store.harness.large import fill

COUNT = 1_000_000
LARGE = {"events", "sagas", "workflow_status"}
KINDS = ["place-order:1"]
SORTED = 5000
"""So many rows may be sorted: what a page needs, and no more."""

Sql = psycopg.Connection


@pytest.fixture(scope="module")
def large(postgres_18: EmbeddedPostgres) -> Iterator[Sql]:
    url = fresh_database(postgres_18)
    with psycopg.connect(conninfo(url), autocommit=True) as connection:
        fill(connection, COUNT, 200_000)
        connection.execute(
            "insert into amends.executors (id, machine, pid, born, kinds, lease_until)"
            " values ('me', 'm', 1, 1, array['place-order:1'], now() + interval '1 day')"
        )
        yield connection
    drop_database(postgres_18, url)


@dataclass(frozen=True)
class Asked:
    """A statement, and how many pages of 8 kB it may touch."""

    statement: str
    parameters: Any
    buffers: int
    anew: bool = False
    """Whether it is planned for its values each time."""


def cursor(number: int, generation: int = 2) -> dict[str, Any]:
    """The place of an event by its number."""
    return {
        "generation": generation,
        "transaction_id": str(1000 + number // 10),
        "position": number,
        "event": None,
        "run": 0,
    }


HALF, START = cursor(COUNT // 2), cursor(0, 0)
ONLY = {"type": None, "stream": None, "correlation_id": None, "limit": 100}
ONE_CAUSE = dict.fromkeys(("cause", "step", "error", "name", "version"))
LISTED = dict.fromkeys(CONDITIONS) | {"before_id": None, "limit": 51}


def listed(what: str = "sagas", buffers: int = 300, of: str = "", **filters: Any) -> Asked:
    parameters = LISTED | filters
    statement = SAGAS[f"{what}_of_each" if of else what].format(column=of, conditions=conditions(parameters))
    return Asked(statement, parameters, buffers, anew=True)


def counted(buffers: int, **filters: Any) -> Asked:
    return listed("count_sagas", buffers, limit=10_001, **filters)


NIGHT: dict[str, Any] = {"started_after": "2026-01-01", "started_before": "2026-01-02"}
BACK = [f"c-back{number}" for number in range(1, 5)]
STUCK = [f"c-stuck{number}" for number in range(101)]


ASKED: dict[str, Asked] = {
    "feed": Asked(EVENTS["feed"], ONLY | HALF, 300),
    "feed from the start": Asked(EVENTS["feed"], ONLY | START, 300),
    "frequent type": Asked(EVENTS["feed_of_type"], ONLY | HALF | {"type": "order-placed"}, 500),
    "frequent type from the start": Asked(EVENTS["feed_of_type"], ONLY | START | {"type": "order-placed"}, 500),
    "rare type": Asked(EVENTS["feed_of_type"], ONLY | HALF | {"type": "rare-thing"}, 300),
    "no such type": Asked(EVENTS["feed_of_type"], ONLY | HALF | {"type": "none"}, 50),
    "long stream": Asked(EVENTS["feed_of_stream"], ONLY | HALF | {"stream": "account-long"}, 500),
    "long stream from the start": Asked(EVENTS["feed_of_stream"], ONLY | START | {"stream": "account-long"}, 500),
    "short stream": Asked(EVENTS["feed_of_stream"], ONLY | HALF | {"stream": "order-40000-1"}, 100),
    "large story": Asked(EVENTS["feed_of_correlation"], ONLY | HALF | {"correlation_id": "everything"}, 500),
    "small story": Asked(EVENTS["feed_of_correlation"], ONLY | START | {"correlation_id": "c-20000"}, 200),
    "end of the feed": Asked(FEED["end"], (), 100),
    "newest of the generation": Asked(GENERATIONS["newest"], (), 100),
    "a page of a stream": Asked(EVENTS["stream"], {"stream": "account-long", "after": 100_000, "limit": 100}, 300),
    "newest of a stream": Asked(
        EVENTS["backwards"], {"stream": "account-long", "before": 2**31 - 1, "limit": 100}, 300
    ),
    "version of a stream": Asked(EVENTS["stream_version"], ("account-long",), 20),
    "version at a place": Asked(EVENTS["version_at_place"], ("account-long", 2, "51000", 500_000), 250),
    "recording": Asked(SAGAS["replay_state"], {"id": "s-100001"} | HISTORY_PAGE, 200),
    "saga": Asked(SAGAS["saga"], ("s-100001",), 20),
    "saga told": Asked(SAGAS["saga_with_history"], {"id": "s-100001"} | HISTORY_PAGE, 150),
    "standing": Asked(SAGAS["standing"], ("s-100001",), 60),
    "newest sagas": listed(),
    "further sagas": listed(before_at="2026-01-02", before_id="s-1"),
    "frequent name": listed(name="place-order"),
    "rare name": listed(name="rare"),
    "no such name": listed(name="none"),
    "status": listed(status="stuck"),
    "name and status": listed(name="place-order", status="waiting"),
    "reference": listed(reference="r-100000"),
    "correlation": listed(correlation_id="c-100000"),
    "parent": listed(parent="s-1"),
    "name and version": listed(name="place-order", version=1),
    "rare name and version": listed(name="rare", version=1),
    "names of a version": Asked(SAGAS["names_of_version"], {"version": 1}, 50),
    "a version": listed(version=1, of="name", each=["place-order", "rare"]),
    "rare version": listed(version=2, of="name", each=["place-order"]),
    "frequent actor": listed(actor="shop"),
    "rare actor": listed(actor="rare"),
    "actor and status": listed(actor="shop", status="stuck"),
    "a time": listed(**NIGHT),
    "a time and a status": listed(**NIGHT, status="compensated"),
    "a time and an actor": listed(**NIGHT, actor="batch"),
    "a cause": listed(of=CAUSE, each=["c-stuck1"]),
    "a cause of long ago": listed(of=CAUSE, each=["c-back1"]),
    "causes of many": listed(buffers=1_000, of=CAUSE, each=BACK),
    "many causes": listed(buffers=1_000, of=CAUSE, each=STUCK),
    "a cause and a status": listed(of=CAUSE, each=STUCK, status="stuck", buffers=1_000),
    "a cause and a time": listed(of=CAUSE, each=BACK, **NIGHT, buffers=1_000),
    "all, counted": counted(3_000),
    "a name, counted": counted(3_000, name="place-order"),
    "a version, counted": counted(3_000, version=1, of="name", each=["place-order", "rare"]),
    "a status, counted": counted(3_000, status="completed"),
    "an actor, counted": counted(3_000, actor="shop"),
    "a time, counted": counted(3_000, **NIGHT),
    "a cause, counted": counted(3_000, of=CAUSE, each=["c-back1"]),
    "causes, counted": counted(3_000, of=CAUSE, each=STUCK),
    "matching causes": Asked(CAUSES["matching"], ONE_CAUSE | {"error": "timeout"}, 50),
    "what is suspended, by cause": Asked(CAUSES["suspended"], {"limit": 10_001, "examples": 5}, 2_000),
    "what waits for providers, by cause": Asked(
        CAUSES["awaiting"], {"limit": 10_001, "examples": 5, "seconds": -60.0}, 2_000
    ),
    "mine": Asked(SAGAS["running"], ("me",), 20),
    "cancelled": Asked(SAGAS["cancelled"], ("me",), 50),
    "newest position": Asked(METRICS["newest_position"], (), 20),
    "blocks on record": Asked(METRICS["recorded_blocks"], (), 50),
    "lag of rare events": Asked(PROJECTIONS["lag"], HALF | {"type": "rare-thing", "limit": 10_000}, 100),
    "lag of no events": Asked(PROJECTIONS["lag"], HALF | {"type": "none", "limit": 10_000}, 50),
    "lag at the end": Asked(PROJECTIONS["lag"], cursor(COUNT) | {"type": "order-placed", "limit": 10_000}, 50),
    "page of a read model": Asked(
        PROJECTIONS["page"], HALF | {"types": ["rare-thing"], "limit": 500, "name": "order_board", "build": 1}, 500
    ),
    "sagas of events": Asked(SHAPES["sagas"], ([f"s-{number}" for number in range(100)],), 1_000),
    "wake those due": Asked(SAGAS["wake_due"], (500,), 200),
    "awaited providers": Asked(SAGAS["awaited"], ("me",), 60),
    "claim those who wait": Asked(
        SAGAS["claim_awaiting"], ("me", "o", "provider-1", ["place-order:1"], 50, 0.0), 8_000
    ),
    "outages": Asked(OUTAGES["outages"], (), 50),
    "hand over": Asked(SAGAS["hand_over"], ("me", []), 50),
    "end executors": Asked(EXECUTORS["end_executors"], (["me"], "itself", True), 400),
    "orphans": Asked(SAGAS["release_orphans"], (), 400),
}
"""What is asked again and again, or for each request."""
OPEN: dict[str, Asked] = {
    "ended by other means": Asked(SAGAS["ended_abnormally"], (), 6_000),
    "open sagas": Asked(METRICS["open_sagas"], (), 1_000),
    "waiting for providers": Asked(OUTAGES["awaiting"], (), 200),
    "doctor": Asked(DOCTOR["sagas"], (), 1_000),
    "queued": Asked(SAGAS["without_code"], (), 6_000),
    "recordings": Asked(RECORDINGS["recordings"].replace("{which}", AFTER), PAGE | {"after": "s-100001"}, 6_000),
    "claim_incompatible": Asked(SAGAS["claim_incompatible"], ("me", "o", ["place-order:1"], 50, []), 2_000),
}
"""What grows with the sagas that are open, and not with those that have ended."""


def nodes(plan: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield plan
    for below in plan.get("Plans", ()):
        yield from nodes(below)


ANEW = {EVENTS["feed_of_type"], EVENTS["feed_of_stream"], EVENTS["feed_of_correlation"], PROJECTIONS["lag"]}
"""What is planned for its values each time; all others are prepared, and get the plan for any value in the end."""
PREPARED = [
    name
    for name, asked in (ASKED | OPEN).items()
    if asked.statement not in ANEW
    and not asked.anew
    and name != "end executors"  # whose own statements would be planned so too
]
PLANNING = 25.0
"""What planning costs, by Postgres's own count, for statements such as these."""
EXPLAIN = "explain (analyze, buffers, verbose, format json) "


@pytest.mark.parametrize("name", ASKED | OPEN)
def test_it_reads_what_it_needs(large: Sql, name: str) -> None:
    asked = (ASKED | OPEN)[name]
    with large.transaction(force_rollback=True):
        (found,) = large.execute((EXPLAIN + asked.statement).encode(), asked.parameters).fetchall()
    require_modest(found[0][0]["Plan"], asked)


@pytest.mark.parametrize("name", PREPARED)
def test_it_does_so_too_by_the_plan_for_any_value(large: Sql, name: str) -> None:
    """Postgres takes it where it looks as cheap as the one for the values: what looks dearer is never taken."""
    asked = (ASKED | OPEN)[name]
    query = PostgresQuery(Transformer(large))
    query.convert(asked.statement, asked.parameters)
    values = [Literal(value) for value in in_order(asked)]
    with large.transaction(force_rollback=True):
        large.execute("set local plan_cache_mode = force_generic_plan")
        large.execute(b"prepare asked as " + query.query)
        given = SQL("({})").format(SQL(", ").join(values)) if values else SQL("")
        try:
            (for_any,) = large.execute(SQL("explain (format json) execute asked{}").format(given)).fetchall()
            large.execute("set local plan_cache_mode = force_custom_plan")
            (for_these,) = large.execute(SQL("explain (format json) execute asked{}").format(given)).fetchall()
            if for_any[0][0]["Plan"]["Total Cost"] > for_these[0][0]["Plan"]["Total Cost"] + PLANNING:
                return
            large.execute("set local plan_cache_mode = force_generic_plan")
            (found,) = large.execute(SQL(EXPLAIN + "execute asked{}").format(given)).fetchall()
        finally:
            large.execute("deallocate asked")
    require_modest(found[0][0]["Plan"], asked)


def in_order(asked: Asked) -> list[Any]:
    """The values of a statement's parameters, each once, in the order of its numbers for them."""
    if not isinstance(asked.parameters, dict):
        return list(asked.parameters)
    names = dict.fromkeys(re.findall(r"%\((\w+)\)s", asked.statement))
    return [asked.parameters[name] for name in names]


def require_modest(plan: Mapping[str, Any], asked: Asked) -> None:
    """No table that grows is read whole, nothing large is sorted, and so many pages are touched at most."""
    shown = json.dumps(plan, indent=1)
    for node in nodes(plan):
        assert not (node["Node Type"] == "Seq Scan" and node.get("Relation Name") in LARGE), shown
        if node["Node Type"] == "Sort":
            assert node["Plans"][0]["Actual Rows"] * node["Plans"][0]["Actual Loops"] <= SORTED, shown
    assert plan["Shared Hit Blocks"] + plan["Shared Read Blocks"] <= asked.buffers, shown
