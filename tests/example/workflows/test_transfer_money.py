"""A transfer waits for a person above a limit, and never loses or doubles money."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

import pytest

from domain.amends.event import Cause
from domain.banking import Account, OpenAccount, TransferRequest, accounts, open_account
from workflows.amends.history import SagaWaiting, WaitEnded
from workflows.amends.ports.event_store import new_business_event
from workflows.amends.saga import Saga, hours, seconds, signal
from workflows.amends.simulation.simulation import Simulation, SimulationResult
from workflows.transfer_money import Approval, TransferMoney

REQUEST = TransferRequest("t-1", "a", "b", 500, "EUR")
YES, NO = Approval(True, "ann"), Approval(False, "ann")


def simulation(**balances: int) -> Simulation:
    """A stage with accounts."""
    made = Simulation()
    for id, balance in ({"a": 1000, "b": 0} | balances).items():
        (opened,) = open_account(None, OpenAccount(id, "Ann", "EUR", balance))
        made.store.events.write([new_business_event(accounts.stream(id), opened, Cause())])
    return made


def balances(on: Simulation) -> tuple[int, int]:
    return _balance(on, "a"), _balance(on, "b")


def _balance(on: Simulation, id: str) -> int:
    account = accounts.fold(on.events(accounts, id))
    assert isinstance(account, Account)
    return account.balance


async def play(
    on: Simulation, limit: int = 100, signals: Sequence[object] = (), request: TransferRequest = REQUEST
) -> SimulationResult:
    return await on.run(TransferMoney(limit), request, signals=signals)


async def test_a_small_transfer_is_made_at_once() -> None:
    on = simulation()
    played = await play(on, limit=500)
    assert played.state.status == "completed"
    assert balances(on) == (500, 500)
    assert played.result["approved_by"] is None


async def test_a_large_one_waits_until_it_is_approved() -> None:
    on = simulation()
    played = await play(on, signals=[YES])
    assert played.state.status == "completed"
    assert played.result["approved_by"] == "ann"
    assert balances(on) == (500, 500)
    (waited,) = [event for _, event in on.history() if isinstance(event, SagaWaiting)]
    assert waited.signal == "approval"
    assert played.executions == 2, "it rested in between"


async def test_a_refused_one_gives_the_money_back() -> None:
    on = simulation()
    played = await play(on, signals=[NO])
    assert played.state.status == "compensated"
    assert played.state.reason == "The transfer was not approved by ann."
    assert balances(on) == (1000, 0)


async def test_one_that_nobody_approves_in_time_gives_the_money_back() -> None:
    on = simulation()
    began = on.clock
    played = await play(on)
    assert played.state.status == "compensated"
    assert on.clock - began >= timedelta(hours=48)
    assert balances(on) == (1000, 0)


async def test_an_approval_that_comes_early_waits() -> None:
    on = simulation()
    on.start(TransferMoney(100), REQUEST)
    on.signal(YES)
    played = await play(on)
    assert played.state.status == "completed"
    assert not [event for _, event in on.history() if isinstance(event, SagaWaiting)]


@pytest.mark.parametrize(
    ("request_", "reason"),
    [
        (TransferRequest("t", "a", "b", 2000, "EUR"), "holds 1000, which is less than 2000"),
        (TransferRequest("t", "a", "nobody", 5, "EUR"), "never opened"),
        (TransferRequest("t", "a", "b", 5, "USD"), "holds EUR, not USD"),
    ],
)
async def test_what_cannot_be_moved_leaves_no_trace(request_: TransferRequest, reason: str) -> None:
    on = simulation()
    played = await play(on, limit=10**6, request=request_)
    assert played.state.status == "compensated"
    assert reason in (played.state.reason or "")
    assert balances(on) == (1000, 0)


@pytest.mark.parametrize("landed", [False, True])
@pytest.mark.parametrize("signals", [[YES], [NO], []], ids=["approved", "refused", "too late"])
async def test_a_crash_around_any_commit_changes_nothing(signals: list[object], landed: bool) -> None:
    undisturbed = simulation()
    expected = await play(undisturbed, signals=signals)
    for at in range(1, undisturbed.commits + 1):
        on = simulation()
        on.crash(at, landed)
        played = await play(on, signals=signals)
        assert played.state.status == expected.state.status
        assert balances(on) == balances(undisturbed)
        told = [type(event).__name__ for _, event in on.history()]
        assert told == [type(event).__name__ for _, event in undisturbed.history()], f"crashed at {at}"


@signal("word")
class Word:
    text: str


@dataclass(frozen=True)
class Listener(Saga[int, tuple[str | None, ...]], name="listener", signals=(Word,)):
    async def run(self, request: int) -> tuple[str | None, ...]:
        heard: list[str | None] = []
        for _ in range(request):
            word = await self.receive(Word, timeout=hours(1))
            heard.append(word.text if word else None)
            await self.sleep(seconds(10))
        return tuple(heard)


async def test_signals_are_received_once_each_and_in_their_order() -> None:
    on = Simulation()
    on.start(Listener(), 3)
    on.signal(Word("one"))
    on.signal(Word("two"))
    played = await on.run(Listener(), 3)
    assert played.result == ["one", "two", None]


async def test_time_passes_while_a_saga_sleeps() -> None:
    on = Simulation()
    began = on.clock
    await on.run(Listener(), 1, signals=[Word("hello")])
    assert on.clock - began >= timedelta(seconds=10)
    ended = [event.by for _, event in on.history() if isinstance(event, WaitEnded)]
    assert ended == ["signal", "time"]
