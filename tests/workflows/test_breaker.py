"""The circuit breaker of a provider: when it opens, who may try, and when it closes."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from workflows import providers
from workflows.calls import ProviderDown
from workflows.providers import FAILURES, NoAnswer, Outage, Provider

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
    assert provider.room == 0
    provider._probe_at = 0
    assert provider.room == 1
    async with provider.call():
        assert provider.room == 0
        with pytest.raises(ProviderDown):
            async with provider.call():
                raise AssertionError("only one tries")
    assert provider.outage is None
    assert provider.room == provider.calls


async def test_while_it_is_open_a_failure_is_a_provider_that_is_down_whatever_it_was() -> None:
    provider = Provider("stock")
    await fail(provider, FAILURES)
    provider._probe_at = 0
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
    provider._probe_at = 0
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
    provider.reported(Outage("stock", now - timedelta(hours=1), REFUSED))
    assert provider.outage is None
    provider.reported(Outage("stock", datetime.now(UTC), REFUSED))
    assert provider.outage is not None


async def test_a_silent_probe_keeps_others_from_trying_only_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    """One waits for its whole time, as a slow provider needs; meanwhile others try one by one, and are cut short."""
    monkeypatch.setattr(providers, "SILENT_SECONDS", 0.02)
    monkeypatch.setattr(providers, "PROBE_SECONDS", 0.0)
    provider, ended, asked = Provider("stock"), asyncio.Event(), 0
    await fail(provider, FAILURES)

    async def probe() -> None:
        nonlocal asked
        async with provider.call():
            asked += 1
            await ended.wait()

    first = asyncio.ensure_future(probe())
    await asyncio.sleep(0)
    for number in range(3):
        while not provider.room:
            await asyncio.sleep(0.001)
        with pytest.raises(ProviderDown):
            await probe()
        assert asked == number + 2
    assert not first.done()
    ended.set()
    await first
    assert provider.outage is None
