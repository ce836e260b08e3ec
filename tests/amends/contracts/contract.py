"""What every store of events promises, as tests that each is held to (workflows.amends.ports.event_store)."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from typing import Any

import pytest

from domain.amends.errors import AmendsError, Conflict, StaleVersion
from domain.amends.event import Cause, EventType
from domain.amends.expected import ANY, NONE, Expected, exact
from tests.amends.store.harness.sagas import event
from workflows.amends.ids import new_id
from workflows.amends.ports.event_store import (
    START,
    AppendResult,
    EventStore,
    FeedCursor,
    FeedFilter,
    NewEvent,
    RepeatedRequest,
    StoredAnswer,
    StoredEvent,
)

ANSWER = StoredAnswer("key-1", "digest-1", {"version": 1, "nested": {"name": "Ünï"}})


def nested(levels: int) -> Any:
    """Lists in objects in lists, so many levels deep."""
    made: Any = "ground"
    for level in range(levels):
        made = [made] if level % 2 else {"deeper": made}
    return made


def caused(stream: str, name: str, correlation_id: str) -> NewEvent:
    return NewEvent(new_id(), stream, EventType(name, 1), {}, Cause(correlation_id=correlation_id))


async def place_of(events: EventStore, *new: NewEvent, **expected: Expected) -> FeedCursor:
    """Append and return the place that was reached."""
    done = await events.append(new, expected)
    assert isinstance(done, AppendResult)
    return done.cursor


async def whole(events: EventStore, count: int) -> list[StoredEvent]:
    """The whole feed, once it shows so many events: something else on the server may hold it back for a moment."""
    async with asyncio.timeout(20):
        while len(seen := await events.feed(limit=count + 1)) < count:
            await asyncio.sleep(0.01)
    assert len(seen) == count
    return seen


async def require_refused(events: EventStore, error: type[Exception], *new: NewEvent, **expected: Expected) -> None:
    """An append that fails changes no stream that it names."""
    streams = {each.stream for each in new} | expected.keys()
    before = {stream: await events.read(stream) for stream in streams}
    with pytest.raises(error):
        await events.append(new, expected)
    assert {stream: await events.read(stream) for stream in streams} == before


class ReadContract:
    """What is read of it."""

    async def test_a_stream_is_read_in_pages_by_version(self, events: EventStore) -> None:
        await events.append([event(stream) for _ in range(7) for stream in ("a", "b")])
        assert [each.version for each in await events.read("a", after=2, limit=3)] == [3, 4, 5]
        assert [each.version for each in await events.read("a", after=5)] == [6, 7]
        assert await events.read("a", after=7) == []
        assert await events.read("nothing") == []

    async def test_the_feed_is_read_in_pages_from_place_to_place(self, events: EventStore) -> None:
        for number in range(6):
            await events.append([event(f"s-{number % 2}"), event("a"), event("a")])
        everything = await whole(events, 18)
        assert all(one.cursor < two.cursor for one, two in pairwise(everything))
        cursor, seen = START, list[StoredEvent]()
        while page := await events.feed(cursor, limit=4):
            assert len(page) <= 4
            seen, cursor = seen + page, page[-1].cursor
        assert seen == everything
        assert [each.version for each in seen if each.stream == "a"] == list(range(1, 13))
        assert await events.feed(everything[10].cursor) == everything[11:]

    async def test_the_feed_is_narrowed_by_type_stream_and_story(self, events: EventStore) -> None:
        names, streams, saga_histories = ("thing-happened", "thing-broke"), ("a", "b"), ("one", "two")
        for _ in range(2):
            await events.append([caused(s, name, state) for s in streams for name in names for state in saga_histories])
        everything = await whole(events, 16)
        for type, stream, state in [(n, s, c) for n in (None, *names) for s in (None, *streams) for c in (None, "two")]:
            expected = [
                each
                for each in everything
                if type in (None, each.name)
                and stream in (None, each.stream)
                and state in (None, each.metadata["correlation_id"])
            ]
            only = FeedFilter(type, stream, state)
            assert await events.feed(only=only) == expected
            assert await events.feed(expected[0].cursor, 2, only) == expected[1:3]
        for nothing in (FeedFilter(type="thing-mended"), FeedFilter(stream="c"), FeedFilter(correlation_id="three")):
            assert await events.feed(only=nothing) == []

    async def test_an_append_reaches_to_its_last_event(self, events: EventStore) -> None:
        first = await place_of(events, event("a"), event("b"))
        second = await place_of(events, event("a"))
        assert first < second
        seen = await whole(events, 3)
        assert [each.cursor for each in seen[1:]] == [first, second]
        assert await events.feed(second) == []

    async def test_an_append_of_nothing_reaches_to_what_it_expects(self, events: EventStore) -> None:
        last = await place_of(events, event("a"), event("a"))
        await events.append([event("b")])
        assert await place_of(events, a=exact(2)) == last
        assert await place_of(events) == START
        assert await place_of(events, a=ANY) == START, "any version is no expectation"
        await require_refused(events, StaleVersion, a=exact(1))
        await whole(events, 3)

    async def test_what_is_known_of_an_event_comes_back(self, events: EventStore) -> None:
        cause = Cause(
            "story", "because", "ann", "saga-1", "charge", "00-1-2-01", "executor-1", "decision", "d1", "d2", "a reason"
        )
        new = NewEvent(new_id(), "order-1", EventType("order-placed", 3), {"a": 1}, cause)
        await events.append([new])
        (stored,) = await whole(events, 1)
        assert (stored.id, stored.stream, stored.version) == (new.id, "order-1", 1)
        assert (stored.type, stored.data) == (new.type, {"a": 1})
        assert stored.metadata == vars(cause)
        assert stored.recorded_at.tzinfo is not None
        assert await events.read("order-1") == [stored]

    @pytest.mark.parametrize(
        "data",
        [
            {"text": "Grüße, 世界, 🎉, \U0010fffd, \u0001, \\u0000, \u2028, '\"\\/%s"},
            {"": None, "true": True, "no": False, "list": [], "object": {}, "mixed": [1, "1", None, [{"a": []}]]},
            {"numbers": [0, -1, 0.1, 1.5e-7, 2**63 + 1, -(10**30), 123456789.123456789]},
            {f"key {n}": ["x" * n] * 3 for n in range(300)},
            {"long": "ü" * 1_000_000},
            nested(100),
        ],
        ids=["text", "kinds", "numbers", "many", "long", "deep"],
    )
    async def test_json_comes_back_as_it_went_in(self, events: EventStore, data: Any) -> None:
        await events.append([event("Strom-ß/世 界 ' \" %s", data=data)])
        (stored,) = await events.read("Strom-ß/世 界 ' \" %s")
        assert stored.data == data

    @pytest.mark.parametrize("levels", [190, 205, 230, 300])
    async def test_what_is_too_deep_to_be_read_is_not_stored(self, events: EventStore, levels: int) -> None:
        data = nested(levels)
        try:
            await events.append([event("a", data=data)])
        except (ValueError, AmendsError):
            assert await events.read("a") == []
        else:
            (stored,) = await events.read("a")
            assert stored.data == data


class AnswerContract:
    """What a request with an idempotency key is answered."""

    async def test_an_answer_is_kept_with_what_it_answers(self, events: EventStore) -> None:
        done = await events.append([event("a")], {"a": NONE}, ANSWER)
        assert isinstance(done, AppendResult)
        kept = {**ANSWER.body, "position": str(done.cursor)}
        for expected in ({"a": NONE}, {"a": exact(7)}, {}):
            again = await events.append(
                [event("a"), event("b")], expected, StoredAnswer("key-1", "another", {"version": 9})
            )
            assert again == RepeatedRequest("digest-1", kept)
        await whole(events, 1)
        assert isinstance(await events.append([event("a")], answer=StoredAnswer("key-2", "digest-1", {})), AppendResult)
        await whole(events, 2)

    async def test_what_is_refused_keeps_no_answer(self, events: EventStore) -> None:
        known = event("a")
        await events.append([known])
        with pytest.raises(StaleVersion):
            await events.append([event("a")], {"a": NONE}, ANSWER)
        with pytest.raises(Conflict):
            await events.append([known, event("a")], {}, ANSWER)
        assert isinstance(await events.append([event("a")], {"a": exact(1)}, ANSWER), AppendResult)

    async def test_an_answer_without_events_is_kept_too(self, events: EventStore) -> None:
        cursor = await place_of(events, event("a"))
        assert await events.append([], {"a": exact(1)}, ANSWER) == AppendResult(cursor)
        assert await events.append([], {"a": exact(1)}, ANSWER) == RepeatedRequest(
            "digest-1", {**ANSWER.body, "position": str(cursor)}
        )
        await whole(events, 1)

    async def test_the_answer_to_an_append_that_was_known_names_its_place(self, events: EventStore) -> None:
        new = event("a")
        cursor = await place_of(events, new)
        await events.append([event("a")])
        assert await events.append([new], {"a": NONE}, ANSWER) == AppendResult(cursor)
        again = await events.append([event("a")], {}, ANSWER)
        assert again == RepeatedRequest("digest-1", {**ANSWER.body, "position": str(cursor)})

    async def test_of_concurrent_requests_with_one_key_one_acts(self, events: EventStore) -> None:
        done = await asyncio.gather(*(events.append([event(f"s-{n}")], {}, ANSWER) for n in range(20)))
        acted = [each for each in done if isinstance(each, AppendResult)]
        assert len(acted) == 1
        kept = RepeatedRequest("digest-1", {**ANSWER.body, "position": str(acted[0].cursor)})
        assert [each for each in done if each is not acted[0]] == [kept] * 19
        await whole(events, 1)
