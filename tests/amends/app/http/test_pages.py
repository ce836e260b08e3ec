"""Pages of events are bounded in bytes too, and nothing is missed or told twice where one ends early."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import URL

from app.amends.postgres.embedded.server import EmbeddedPostgres
from app.amends.postgres.urls import conninfo
from app.amends.store.events import pages
from app.amends.store.events.pages import MOST, event_size, read_page
from tests.amends.harness.databases import fresh_database
from tests.amends.harness.server import Server, http
from workflows.amends.ports.event_store import START, FeedCursor, StoredEvent

SIZE, EVENTS = 700_000, 30
LARGE = """
select amends.insert_events((
    select jsonb_agg(jsonb_build_object('id', gen_random_uuid(), 'stream', 'large-1', 'type', 'bench-large',
        'schema_version', 1, 'data', jsonb_build_object('n', n, 'text', repeat('x', %s)), 'metadata', '{}'::jsonb))
      from generate_series(1, %s) as n))"""


def event(position: int, length: int) -> StoredEvent:
    data = json.dumps("ä" * (length // 2), ensure_ascii=False)
    return StoredEvent(1, 1, position, UUID(int=position), "a-1", position, "made", 1, data, "{}", datetime.now(UTC))


@given(
    lengths=st.lists(st.sampled_from([0, 1, 50, 400, 999, 1001, 5000]), max_size=400),
    limit=st.integers(1, 500),
)
async def test_pages_are_bounded_and_tell_everything_once(lengths: list[int], limit: int) -> None:
    stored = [event(number, length) for number, length in enumerate(lengths, 1)]

    async def read(after: FeedCursor, most: int) -> list[StoredEvent]:
        assert 1 <= most <= MOST, "no more are in memory at a time, whatever was asked for"
        return [each for each in stored if each.cursor > after][:most]

    told: list[StoredEvent] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pages, "PAGE_BYTES", 1000)
        while following := await read_page(read, told[-1].cursor if told else START, limit):
            assert len(following) <= limit
            assert len(following) == 1 or sum(map(event_size, following)) <= 1000
            told += following
    assert told == stored


@pytest.fixture(scope="module")
def url(postgres_18: EmbeddedPostgres) -> URL:
    return fresh_database(postgres_18)


@pytest.fixture(scope="module")
def server(url: URL) -> Iterator[Server]:
    with Server(url) as server:
        server.start()
        with psycopg.connect(conninfo(url), autocommit=True) as sql:
            sql.execute(LARGE, (SIZE, EVENTS))
        yield server


@pytest.mark.parametrize("path", ["/events?type=bench-large", "/events?stream=large-1", "/events", "/streams/large-1"])
def test_a_page_of_large_events_ends_early_and_is_gone_on_with(server: Server, path: str) -> None:
    told: list[int] = []
    after: str | None = None
    while events := (found := _page(server, path, after))["events"]:
        large = [each["version"] for each in events if each["stream"] == "large-1"]
        assert len(large) * SIZE <= pages.PAGE_BYTES
        told, after = told + large, found["next"]
    assert told == list(range(1, EVENTS + 1))


def test_a_follower_is_told_of_large_events_too(server: Server) -> None:
    told: list[int] = []
    with http.stream("GET", f"{server.base}/events/live", params={"stream": "large-1"}) as following:
        for line in following.iter_lines():
            if line.startswith("data: "):
                told.append(json.loads(line[6:])["version"])
            if len(told) == EVENTS:
                break
    assert told == list(range(1, EVENTS + 1))


def _page(server: Server, path: str, after: str | None) -> Any:
    return server.get(path.partition("?")[0], **_parameters(path), limit=1000, **({"after": after} if after else {}))


def _parameters(path: str) -> dict[str, str]:
    return dict(each.split("=") for each in path.partition("?")[2].split("&") if each)
