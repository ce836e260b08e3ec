"""The circuit breaker of a provider: when it opens, who may try, and when it closes."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from domain.amends.errors import DefinitionError
from workflows.amends.call import ProviderDown
from workflows.amends.providers import FAILURES, NoAnswer, Outage, Provider, Providers, circuit_breaker

REFUSED = "connection refused"


async def fail(provider: Provider, times: int) -> None:
    for _ in range(times):
        with pytest.raises(ProviderDown):
            async with provider.call(tells=True):
                raise NoAnswer(REFUSED)


async def test_it_opens_after_so_many_failures_in_a_row() -> None:
    provider = Provider("stock")
    await fail(provider, FAILURES - 1)
    async with provider.call():
        assert provider.outage is None
    await fail(provider, FAILURES - 1)
    assert provider.outage is None, "an answer in between counts"
    await fail(provider, 1)
    assert provider.outage is not None
    assert provider.outage.error == REFUSED


async def test_a_provider_says_after_how_many_failures_it_is_down() -> None:
    provider = Provider("stock", failures=2)
    await fail(provider, 1)
    assert provider.outage is None
    await fail(provider, 1)
    assert provider.outage is not None


async def test_nobody_is_called_while_it_is_open_but_one_a_second() -> None:
    provider = Provider("stock")
    await fail(provider, FAILURES)
    with pytest.raises(ProviderDown, match=f"stock is down: since .*, {REFUSED}"):
        async with provider.call():
            raise AssertionError("nobody is called")
    assert provider.free_places == 0
    provider.breaker._probe_at = 0
    assert provider.free_places == 1
    async with provider.call():
        assert provider.free_places == 0
        with pytest.raises(ProviderDown):
            async with provider.call():
                raise AssertionError("only one tries")
    assert provider.outage is None
    assert provider.free_places == provider.calls


async def test_while_it_is_open_a_failure_is_a_provider_that_is_down_whatever_it_was() -> None:
    provider = Provider("stock")
    await fail(provider, FAILURES)
    provider.breaker._probe_at = 0
    with pytest.raises(ProviderDown):
        async with provider.call(tells=True) as sending:
            sending.started()
            raise NoAnswer("503 Service Unavailable")
    assert provider.outage is not None


async def test_a_failure_of_what_was_sent_is_an_attempt_while_it_is_closed() -> None:
    provider = Provider("stock")
    for _ in range(FAILURES - 1):
        with pytest.raises(NoAnswer):
            async with provider.call():
                raise NoAnswer("503 Service Unavailable")


async def test_an_error_that_is_an_answer_is_no_outage() -> None:
    provider = Provider("stock")
    for _ in range(3 * FAILURES):
        with pytest.raises(ValueError, match="500"):
            async with provider.call():
                raise ValueError("500 internal")
    assert provider.outage is None


async def test_a_bug_before_anything_is_sent_says_nothing_of_the_provider() -> None:
    provider = Provider("stock")
    await fail(provider, FAILURES)
    provider.breaker._probe_at = 0
    with pytest.raises(ValueError, match="no such path"):
        async with provider.call(tells=True):
            raise ValueError("no such path")
    assert provider.outage is not None


async def test_no_more_calls_are_made_at_a_time_than_are_allowed() -> None:
    provider, now, most = Provider("stock", 3), 0, 0

    async def call() -> None:
        nonlocal now, most
        async with provider.call():
            now += 1
            most = max(most, now)
            await asyncio.sleep(0)
            now -= 1

    await asyncio.gather(*(call() for _ in range(50)))
    assert most == 3


async def test_what_others_say_counts_unless_it_has_answered_here_since() -> None:
    provider, now = Provider("stock"), datetime.now(UTC)
    async with provider.call():
        pass
    provider.breaker.note_report(Outage("stock", now - timedelta(hours=1), REFUSED))
    assert provider.outage is None
    provider.breaker.note_report(Outage("stock", datetime.now(UTC), REFUSED))
    assert provider.outage is not None


async def test_a_silent_probe_is_given_up_after_a_while_but_one_in_ten(monkeypatch: pytest.MonkeyPatch) -> None:
    """A slow provider needs the whole time of a step; meanwhile others go on trying."""
    monkeypatch.setattr(circuit_breaker, "SILENT_SECONDS", 0.02)
    monkeypatch.setattr(circuit_breaker, "PROBE_SECONDS", 0.0)
    provider, ended = Provider("stock"), asyncio.Event()
    await fail(provider, FAILURES)
    provider.breaker._probe_at = 0

    async def probe() -> None:
        while not provider.free_places:
            await asyncio.sleep(0.001)
        async with provider.call():
            await ended.wait()

    for _ in range(circuit_breaker.WHOLE - 1):
        with pytest.raises(ProviderDown):
            await probe()
    whole = asyncio.ensure_future(probe())
    await asyncio.sleep(0.005)
    for _ in range(3):
        with pytest.raises(ProviderDown):
            await probe()
    assert not whole.done()
    ended.set()
    await whole
    assert provider.outage is None


async def test_a_probe_waits_twice_as_long_as_the_provider_has_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(circuit_breaker, "SILENT_SECONDS", 0.0)
    provider = Provider("stock")
    async with provider.call():
        await asyncio.sleep(0.1)
    await fail(provider, FAILURES)
    provider.breaker._probe_at = 0
    async with provider.call():
        await asyncio.sleep(0.1)
    assert provider.outage is None


async def test_what_nobody_waits_for_is_not_said_to_be_down_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    known = Providers()
    provider = known.to("stock")
    await fail(provider, FAILURES)
    known.forget(set())
    assert known.outages, "somebody has just called"
    monkeypatch.setattr(circuit_breaker, "FORGET_SECONDS", 0.0)
    known.forget({"stock"})
    assert known.outages, "somebody waits"
    known.forget(set())
    assert not known.outages
    await fail(provider, 1)
    assert known.outages, "the next failure says it again"


async def test_one_saga_that_fails_again_and_again_says_nothing_of_a_provider_that_answers_others() -> None:
    provider = Provider("stock")
    async with provider.call():
        pass
    for _ in range(3 * FAILURES):
        provider.breaker.note_failure(REFUSED, waited=True)
    assert provider.outage is None
    provider.breaker._answered -= circuit_breaker.MOMENT
    for _ in range(FAILURES):
        provider.breaker.note_failure(REFUSED, waited=True)
    assert provider.outage is not None


@pytest.mark.parametrize("name", ["", " ", "a\0b", "a\nb", "x" * 101, "half \ud800", " a", "a  b"])
def test_a_name_that_cannot_be_shown_is_refused(name: str) -> None:
    with pytest.raises(DefinitionError, match="the name of a provider"):
        Providers().to(name)


@pytest.mark.parametrize(("calls", "failures"), [(0, 5), (1, 0), (-1, 5)])
def test_limits_that_let_nobody_call_are_refused(calls: int, failures: int) -> None:
    with pytest.raises(DefinitionError, match="at least one"):
        Providers().to("stock", calls, failures)


def test_a_provider_without_a_gateway_is_forgotten_once_nobody_waits() -> None:
    known = Providers()
    for number in range(100):
        known.named(f"replica-{number}")
    known.forget({"replica-1"})
    assert list(known._known) == ["replica-1"]


async def test_calls_that_are_cut_off_from_this_side_are_nobodys_fault() -> None:
    known = Providers()
    provider = known.to("stock")

    async def call() -> None:
        async with provider.call():
            await asyncio.sleep(60)

    with known.cut_off():
        calls = [asyncio.create_task(call()) for _ in range(FAILURES)]
        await asyncio.sleep(0)
        for each in calls:
            each.cancel()
        await asyncio.wait(calls)
    assert all(each.cancelled() for each in calls)
    assert provider.outage is None
    await fail(provider, FAILURES)
    assert provider.outage is not None, "what comes afterwards counts"
