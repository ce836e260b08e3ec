"""Every store of events keeps every promise, and so do decisions on top of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import TypeVar

import pytest
from sqlalchemy import URL

from app.amends.store.aggregates.repository import ATTEMPTS, IdempotentRequest, Loader, Repository
from domain.amends.aggregate import Aggregate
from domain.amends.errors import Conflict, StaleVersion
from domain.amends.event import Cause
from domain.amends.expected import Expected
from tests.amends.business.account import (
    Account,
    AccountExists,
    MoneyDeposited,
    NoAccount,
    NotEnoughMoney,
    OpenAccount,
    accounts,
    deposit,
    open_account,
    withdraw,
)
from tests.amends.contracts.append_contract import AppendContract
from tests.amends.contracts.contract import AnswerContract, ReadContract, whole
from tests.amends.contracts.names import NamesContract
from tests.amends.store.harness.accounts import Bank, bank
from workflows.amends.ports.event_store import (
    AppendResult,
    EventStore,
    NewEvent,
    Overtaken,
    RepeatedRequest,
    StoredAnswer,
    StoredEvent,
    load_event_json,
    new_business_event,
)
from workflows.amends.simulation.memory.events import MemoryEvents

S = TypeVar("S")
E = TypeVar("E")

OPEN = OpenAccount("1", "Ann", "EUR", 100)
STREAM = accounts.stream("1")


class Folding:
    """Loads aggregates from any store by folding all that their streams hold."""

    def __init__(self, events: EventStore) -> None:
        self._events = events

    async def load(self, aggregate: Aggregate[S, E], stream: str) -> tuple[S, int]:
        stored = await self._events.read(stream)
        await asyncio.sleep(0)  # as with a database, others write in between
        told = (load_event_json(aggregate.vocabulary, each.type, each.data_json) for each in stored)
        return aggregate.fold(told), len(stored)


class Contended:
    """A store that somebody else always writes to first."""

    def __init__(self) -> None:
        self.tries = 0

    async def append(
        self, events: Sequence[NewEvent], expected: Mapping[str, Expected] = {}, answer: StoredAnswer | None = None
    ) -> AppendResult | RepeatedRequest:
        self.tries += 1
        raise StaleVersion(events[0].stream, self.tries, self.tries + 1)

    async def read(self, stream: str, after: int = 0, limit: int = 1000) -> list[StoredEvent]:
        return []

    async def feed(self, *_: object) -> list[StoredEvent]:
        return []


def answered(account: Account | None, version: int) -> dict[str, object]:
    return {"balance": account and account.balance, "version": version}


class DecisionContract:
    """Load, decide, append, and anew if somebody else was quicker."""

    @pytest.fixture
    def repository(self, events: EventStore, states: Loader) -> Repository:
        return Repository(events, states)

    async def test_a_decision_appends_what_it_returns(self, events: EventStore, repository: Repository) -> None:
        ann = repository.acting(Cause(actor="ann"))
        opened = await ann.decide(accounts, "1", open_account, OPEN)
        paid = await ann.decide(accounts, "1", deposit, 5)
        assert [(each.version, each.state) for each in (opened, paid)] == [
            (1, Account("1", "Ann", "EUR", 100)),
            (2, Account("1", "Ann", "EUR", 105)),
        ]
        stored = await whole(events, 2)
        assert [each.name for each in stored] == ["account-opened", "money-deposited"]
        assert [each.cursor for each in stored] == [opened.cursor, paid.cursor]
        assert len({each.metadata["decision"] for each in stored}) == 1
        assert await repository.load(accounts, "1") == (paid.state, 2)

    async def test_a_decision_that_changes_nothing_appends_nothing(
        self, events: EventStore, repository: Repository
    ) -> None:
        ann = repository.acting(Cause())
        await ann.decide(accounts, "1", open_account, OPEN)
        nothing = await ann.decide(accounts, "1", lambda _: [])
        assert (nothing.state, nothing.version, nothing.cursor) == (Account("1", "Ann", "EUR", 100), 1, None)
        await whole(events, 1)

    async def test_a_refusal_appends_nothing(self, events: EventStore, repository: Repository) -> None:
        ann = repository.acting(Cause())
        with pytest.raises(NoAccount):
            await ann.decide(accounts, "1", deposit, 5)
        await ann.decide(accounts, "1", open_account, OPEN)
        with pytest.raises(NotEnoughMoney):
            await ann.decide(accounts, "1", withdraw, 101)
        with pytest.raises(AccountExists):
            await ann.decide(accounts, "1", open_account, OpenAccount("1", "Bob", "EUR", 0))
        await whole(events, 1)

    async def test_a_decision_that_comes_too_late_is_made_anew(
        self, events: EventStore, states: Loader, repository: Repository
    ) -> None:
        await repository.acting(Cause()).decide(accounts, "1", open_account, OPEN)
        interfering = Interfering(events, states)
        late = await Repository(events, interfering).acting(Cause()).decide(accounts, "1", deposit, 5)
        assert interfering.loads == 2
        assert late.state == Account("1", "Ann", "EUR", 112)
        assert late.version == 3
        assert await repository.load(accounts, "1") == (late.state, 3)

    async def test_concurrent_decisions_all_count(self, events: EventStore, repository: Repository) -> None:
        await repository.acting(Cause()).decide(accounts, "1", open_account, OPEN)
        acts = [repository.acting(Cause()).decide(accounts, "1", deposit, 2**n) for n in range(16)]
        done = await asyncio.gather(*acts)
        assert sorted(each.version for each in done) == list(range(2, 18))
        account, version = await repository.load(accounts, "1")
        assert account == Account("1", "Ann", "EUR", 100 + 2**16 - 1)
        assert version == 17
        await whole(events, 17)

    async def test_a_request_with_a_key_acts_once(self, events: EventStore, repository: Repository) -> None:
        await repository.acting(Cause()).decide(accounts, "1", open_account, OPEN)
        asked = IdempotentRequest("key", "digest", answered)
        first = await repository.acting(Cause(), asked).decide(accounts, "1", deposit, 5)
        again = await repository.acting(Cause(), asked).decide(accounts, "1", deposit, 5)
        assert first.before is None
        assert again.before == {"balance": 105, "version": 2, "position": str(first.cursor)}
        with pytest.raises(Conflict):
            await repository.acting(Cause(), IdempotentRequest("key", "other", answered)).decide(
                accounts, "1", deposit, 6
            )
        await whole(events, 2)

    async def test_a_request_that_changes_nothing_is_answered_once_too(
        self, events: EventStore, repository: Repository
    ) -> None:
        opened = await repository.acting(Cause()).decide(accounts, "1", open_account, OPEN)
        asked = IdempotentRequest("key", "digest", answered)
        nothing = await repository.acting(Cause(), asked).decide(accounts, "1", lambda _: [])
        await repository.acting(Cause()).decide(accounts, "1", deposit, 5)
        again = await repository.acting(Cause(), asked).decide(accounts, "1", lambda _: [MoneyDeposited(1)])
        assert nothing.cursor == opened.cursor
        assert again.before == {"balance": 100, "version": 1, "position": str(opened.cursor)}
        await whole(events, 2)

    async def test_whoever_is_always_overtaken_is_told_so(self, repository: Repository, states: Loader) -> None:
        contended = Contended()
        with pytest.raises(Overtaken) as overtaken:
            await Repository(contended, states).acting(Cause()).decide(accounts, "1", lambda _: [MoneyDeposited(1)])
        assert overtaken.value.facts() == {"stream": STREAM, "times": ATTEMPTS}
        assert contended.tries == ATTEMPTS


class Interfering:
    """Deposits 7 after the first load, so that whoever loaded comes too late."""

    def __init__(self, events: EventStore, states: Loader) -> None:
        self._events, self._states = events, states
        self.loads = 0

    async def load(self, aggregate: Aggregate[S, E], stream: str) -> tuple[S, int]:
        loaded = await self._states.load(aggregate, stream)
        self.loads += 1
        if self.loads == 1:
            await self._events.append([new_business_event(stream, MoneyDeposited(7), Cause())])
        return loaded


class TestPostgres(AppendContract, ReadContract, AnswerContract, DecisionContract, NamesContract):
    @pytest.fixture
    async def bank(self, database: URL) -> AsyncIterator[Bank]:
        async with bank(database) as it:
            yield it

    @pytest.fixture
    def events(self, bank: Bank) -> EventStore:
        return bank.events

    @pytest.fixture
    def states(self, bank: Bank) -> Loader:
        return bank.loader


class TestMemory(AppendContract, ReadContract, AnswerContract, DecisionContract, NamesContract):
    @pytest.fixture
    def events(self) -> EventStore:
        return MemoryEvents()

    @pytest.fixture
    def states(self, events: EventStore) -> Loader:
        return Folding(events)
