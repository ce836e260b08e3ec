"""What every store of events promises of appends, as tests that each is held to."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from domain.amends.errors import Conflict, StaleVersion, Unstorable
from domain.amends.event import Cause, EventType
from domain.amends.expected import ANY, NONE, Expected, exact
from tests.amends.contracts.contract import place_of, require_refused, whole
from tests.amends.store.harness.sagas import event
from workflows.amends.ports.event_store import (
    AppendResult,
    EventStore,
)


class AppendContract:
    """What happens to what is appended."""

    async def test_versions_count_from_one(self, events: EventStore) -> None:
        await events.append([event("a"), event("a")], {"a": NONE})
        await events.append([event("a")], {"a": exact(2)})
        await events.append([event("a")], {"a": ANY})
        await events.append([event("a")])
        assert [each.version for each in await events.read("a")] == [1, 2, 3, 4, 5]

    @pytest.mark.parametrize("expected", [exact(1), exact(3), NONE])
    async def test_a_stale_append_says_both_versions_and_writes_nothing(
        self, events: EventStore, expected: Expected
    ) -> None:
        await events.append([event("a"), event("a")])
        with pytest.raises(StaleVersion) as stale:
            await events.append([event("a"), event("b")], {"a": expected})
        assert stale.value.facts() == {"stream": "a", "expected": expected.version, "actual": 2}
        assert [len(await events.read(stream)) for stream in ("a", "b")] == [2, 0]

    async def test_a_stream_that_does_not_exist_is_at_version_zero(self, events: EventStore) -> None:
        await require_refused(events, StaleVersion, event("a"), a=exact(1))
        await events.append([event("a")], {"a": exact(0)})
        assert len(await events.read("a")) == 1

    async def test_several_streams_are_one_commit(self, events: EventStore) -> None:
        cursor = await place_of(events, event("b"), event("a"), event("b"), a=NONE, b=NONE, c=NONE)
        seen = await whole(events, 3)
        assert [[each.version for each in await events.read(stream)] for stream in "abc"] == [[1], [1, 2], []]
        assert len({(each.generation, each.transaction_id) for each in seen}) == 1
        assert cursor == seen[-1].cursor

    async def test_one_stale_stream_spoils_all(self, events: EventStore) -> None:
        await events.append([event("c")])
        await require_refused(events, StaleVersion, event("a"), event("b"), event("c"), a=NONE, b=NONE, c=NONE)
        await require_refused(events, StaleVersion, event("a"), event("b"), a=NONE, b=ANY, c=NONE)
        assert [len(await events.read(stream)) for stream in "abc"] == [0, 0, 1]

    async def test_what_cannot_be_written_as_json_writes_nothing_of_its_append(self, events: EventStore) -> None:
        await require_refused(events, Unstorable, event("a"), event("b", data={"text": "half a \ud800"}))

    @pytest.mark.parametrize("streams", ["a", "aba"])
    async def test_the_same_append_again_changes_nothing(self, events: EventStore, streams: str) -> None:
        new = list(map(event, streams))
        cursor = await place_of(events, *new, a=NONE)
        await events.append([event("a"), event("b")])
        assert await place_of(events, *new, a=NONE) == cursor, "its expected version is stale by now"
        assert await place_of(events, *new) == cursor
        await whole(events, len(new) + 2)

    async def test_ids_that_are_known_in_part_are_a_conflict(self, events: EventStore) -> None:
        known = event("a")
        await events.append([known])
        await require_refused(events, Conflict, known, event("a"))
        await require_refused(events, Conflict, event("b"), known, a=exact(1))
        await require_refused(events, Conflict, event("b"), known, event("b"))
        await require_refused(events, Conflict, event("b"), known, event("b"), b=exact(7))
        await whole(events, 1)

    @pytest.mark.parametrize("at", [0, 1, 2])
    @pytest.mark.parametrize("expected", [ANY, exact(7)])
    async def test_a_conflict_of_ids_names_the_event(self, events: EventStore, at: int, expected: Expected) -> None:
        known, new = event("a"), [event("b"), event("b")]
        await events.append([known])
        new.insert(at, known)
        with pytest.raises(Conflict, match=f"not all of them. Event {known.id} stands in a"):
            await events.append(new, {"b": expected})
        new[at] = replace(known, data={"another": 1})
        with pytest.raises(Conflict, match=f"{known.id} was appended before, to a, and is another one"):
            await events.append(new, {"b": expected})
        with pytest.raises(Conflict, match=f"2 of these events have the id {known.id}"):
            await events.append([known, event("b"), known])
        await whole(events, 1)

    @pytest.mark.parametrize("order", ["cba", "bca", "a", "b", "ca"])
    async def test_events_that_are_all_there_are_a_success_in_any_order(self, events: EventStore, order: str) -> None:
        new = {stream: event(stream) for stream in "abc"}
        await events.append(list(new.values()), {"a": NONE})
        await events.append([event("a")])
        before = await whole(events, 4)
        cursor = await place_of(events, *(new[stream] for stream in order), a=NONE, b=exact(7))
        assert cursor == max(each.cursor for each in before[:3] if each.stream in order)
        assert await whole(events, 4) == before

    @pytest.mark.parametrize("change", ["stream", "type", "version", "data"])
    async def test_a_known_id_for_another_event_is_a_conflict_that_names_it(
        self, events: EventStore, change: str
    ) -> None:
        known = event("a", data={"n": 1})
        await events.append([known, event("a")])
        other = {
            "stream": replace(known, stream="b"),
            "type": replace(known, type=EventType("another", known.type.version)),
            "version": replace(known, type=EventType(known.type.name, known.type.version + 1)),
            "data": replace(known, data={"n": 2}),
        }[change]
        await require_refused(events, Conflict, other)
        await require_refused(events, Conflict, other, event("c"))
        with pytest.raises(Conflict, match=str(known.id)):
            await events.append([other])
        await whole(events, 2)

    async def test_a_resend_is_known_whatever_its_cause_says(self, events: EventStore) -> None:
        known = event("a", data={"n": 1, "m": [1.5, None]})
        cursor = await place_of(events, known)
        again = replace(known, cause=Cause(correlation_id="another"), data={"m": [1.5, None], "n": 1})
        assert await place_of(events, again) == cursor

    async def test_events_stand_in_the_feed_as_they_were_given(self, events: EventStore) -> None:
        new = [event(stream) for stream in "cabcbaac"]
        cursor = await place_of(events, *new)
        seen = await whole(events, len(new))
        assert [each.id for each in seen] == [each.id for each in new]
        assert cursor == seen[-1].cursor
        assert [each.version for each in await events.read("c")] == [1, 2, 3]

    async def test_one_id_for_two_events_is_a_conflict(self, events: EventStore) -> None:
        new = event("a")
        await require_refused(events, Conflict, new, new)

    async def test_a_large_batch_keeps_its_order(self, events: EventStore) -> None:
        new = [event("a", data={"n": n}) for n in range(1, 5001)]
        cursor = await place_of(events, *new, a=NONE)
        stored = await events.read("a", limit=10_000)
        assert [(each.version, each.data["n"], each.id) for each in stored] == [
            (n, n, one.id) for n, one in enumerate(new, start=1)
        ]
        seen = await whole(events, 5000)
        assert [each.id for each in seen] == [one.id for one in new]
        assert seen[-1].cursor == cursor

    async def test_concurrent_appends_all_count(self, events: EventStore) -> None:
        new = [event("a") for _ in range(200)]
        await asyncio.gather(*(events.append([one]) for one in new))
        stored = await events.read("a")
        assert [each.version for each in stored] == list(range(1, 201))
        assert {each.id for each in stored} == {one.id for one in new}

    async def test_of_concurrent_appends_for_one_version_one_wins(self, events: EventStore) -> None:
        done = await asyncio.gather(
            *(events.append([event("a")], {"a": NONE}) for _ in range(20)), return_exceptions=True
        )
        assert sum(isinstance(each, AppendResult) for each in done) == 1
        assert sum(isinstance(each, StaleVersion) for each in done) == 19
        await whole(events, 1)
