"""Names, versions and appends at their borders, as tests that each store is held to."""

from __future__ import annotations

from typing import Any

import pytest

from domain.amends.errors import DefinitionError, Invalid, StaleVersion
from domain.amends.event import Cause
from domain.amends.expected import ANY, LARGEST, NONE, Expected, exact
from tests.amends.business.account import AccountOpened, MoneyDeposited, accounts, deposit
from tests.amends.contracts.contract import place_of, require_refused, whole
from tests.amends.store.harness.sagas import event
from workflows.amends.ports.event_store import START, EventStore, FeedFilter, new_business_event

STORED = ["a", "a/b", "a//b", "a-b", "-", "100%", "a b", " a ", "%2F", "ü/世 界", "…", "x" * 500, "世" * 500, "'\"\\"]
REFUSED = ["", " ", "\t", "a\nb", "a\0b", "\x7f", "\x85", "half \ud800", ".", "..", "x" * 501, "世" * 501]


class NamesContract:
    """What is no name of a stream is refused before anything is written; every other one is a stream of its own."""

    @pytest.mark.parametrize("stream", STORED, ids=ascii)
    async def test_a_stream_is_there_under_its_name_and_no_other(self, events: EventStore, stream: str) -> None:
        await events.append([event(stream), event(stream)], {stream: NONE})
        assert [each.version for each in await events.read(stream)] == [1, 2]
        assert [each.stream for each in await events.feed(only=FeedFilter(stream=stream))] == [stream] * 2
        for other in STORED:
            assert other == stream or await events.read(other) == []

    @pytest.mark.parametrize("stream", REFUSED, ids=ascii)
    async def test_what_is_no_name_is_refused_and_named(self, events: EventStore, stream: str) -> None:
        with pytest.raises(Invalid, match=r"^stream: "):
            await events.append([event("a"), event(stream)])
        with pytest.raises(Invalid, match=r"^stream: "):
            await events.append([event("a")], {stream: ANY})
        assert await events.feed() == []

    @pytest.mark.parametrize("stream", ["saga-", "saga-x", "projection-order_board"])
    async def test_the_streams_of_amends_itself_are_not_written_to(self, events: EventStore, stream: str) -> None:
        with pytest.raises(Invalid, match="Amends' own"):
            new_business_event(stream, MoneyDeposited(1), Cause())
        with pytest.raises(Invalid, match="Amends' own"):
            await events.append([event("a"), event(stream)])
        await events.append(
            [
                new_business_event("sagas", MoneyDeposited(1), Cause()),
                new_business_event("saga", MoneyDeposited(1), Cause()),
            ]
        )
        await whole(events, 2)

    @pytest.mark.parametrize("version", [-1, LARGEST + 1, True, 1.0, "1"])
    def test_what_is_no_version_is_not_expected(self, version: Any) -> None:
        with pytest.raises(Invalid, match=r"^expected version: must be a whole number from 0 to"):
            Expected(version)

    async def test_what_is_no_expectation_is_refused(self, events: EventStore) -> None:
        wrong: Any = {"a": 0}
        with pytest.raises(Invalid, match="expected version of a: is exact"):
            await events.append([event("a")], wrong)

    async def test_the_largest_version_is_stale_and_not_too_large(self, events: EventStore) -> None:
        with pytest.raises(StaleVersion) as stale:
            await events.append([event("a")], {"a": exact(LARGEST)})
        assert (stale.value.expected, stale.value.actual) == (LARGEST, 0)

    async def test_an_append_of_nothing_does_nothing_but_check(self, events: EventStore) -> None:
        assert await place_of(events) == START
        assert await place_of(events, a=NONE, b=ANY) == START
        await require_refused(events, StaleVersion, a=exact(1))
        await whole(events, 0)

    async def test_what_a_fold_does_not_take_is_not_decided(self, events: EventStore, states: Any) -> None:
        from app.amends.store.aggregates.repository import Repository

        repository, stray = Repository(events, states), event("x")
        await events.append([new_business_event("account-1", AccountOpened("1", "Ann", "EUR", 0), Cause())])
        with pytest.raises(DefinitionError, match="its evolve does not take NewEvent"):
            await repository.acting(Cause()).decide(accounts, "1", lambda _: [stray])  # type: ignore[list-item]
        for key in ("", " ", "a\nb", "x" * 500, 7, None):
            wrong: Any = key
            with pytest.raises(Invalid, match=r"^account id: "):
                await repository.acting(Cause()).decide(accounts, wrong, deposit, 1)
        await whole(events, 1)
