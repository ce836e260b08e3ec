"""Decisions about aggregates, their undo and redo, and their states at any point of time."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from app.amends.store.aggregates.repository import IdempotentRequest
from app.amends.store.aggregates.time_travel import PointInTime
from tests.amends.business.account import Account, OpenAccount, accounts, deposit, open_account, withdraw
from tests.amends.contracts.differential.draw import Draw, Operation
from tests.amends.contracts.differential.operations import operation
from tests.amends.contracts.differential.sides import Side

KEYS = ("1", "2", "3")


def answered(account: Account | None, version: int) -> dict[str, object]:
    return {"balance": account and account.balance, "version": version}


def request(draw: Draw) -> IdempotentRequest[Any] | None:
    if not draw.once_in(3):
        return None
    return IdempotentRequest(f"key {draw.random.randrange(20)}", f"digest {draw.random.randrange(3)}", answered)


def known(draw: Draw) -> str:
    """A key, mostly one of an account that is open."""
    open_ = [key for key in KEYS if draw.store.events.version(accounts.stream(key))]
    return draw.one_of(open_ if open_ and not draw.once_in(8) else KEYS) or "1"


@operation(10, "success", "NoAccount", "AccountExists", "NotEnoughMoney", "Conflict")
def decide(draw: Draw) -> Operation | None:
    key, amount = known(draw), draw.random.choice([1, 5, 5, 500])
    decisions: list[tuple[Any, Sequence[object]]] = [(deposit, [amount]), (withdraw, [amount]), (_nothing, [])]
    decisions.append((open_account, [OpenAccount(key, "Ann", "EUR", 100)]))
    (decision, given), cause, once = draw.random.choice(decisions), draw.cause(), request(draw)

    async def call(side: Side) -> Any:
        return await side.repository.acting(cause, once).decide(accounts, key, decision, *given)

    return draw.remember(Operation("decide", f"{decision.__name__} {key} {given} {cause} {once}", call))


def _nothing(_: Account | None) -> list[Any]:
    return []


@operation(3, "success", "Conflict", "NotFound", "StaleVersion")
def undo(draw: Draw) -> Operation | None:
    return _reversed(draw, "undo")


@operation(3, "success", "Conflict")
def redo(draw: Draw) -> Operation | None:
    return _reversed(draw, "redo")


def _reversed(draw: Draw, action: Any) -> Operation:
    stream = accounts.stream(known(draw))
    version = draw.store.events.version(stream) + draw.once_in(3) if draw.once_in(2) else None
    given = (action, accounts, stream, version, draw.cause(), "a mistake", request(draw))
    return Operation.of(str(action), "undoing.perform", *given)


@operation(4, "success", "NotFound", "Invalid")
def state_in_the_past(draw: Draw) -> Operation | None:
    stream, point = accounts.stream(known(draw)), _point(draw)

    async def call(side: Side) -> Any:
        return await side.travel.state(accounts, stream, await point(side))

    return Operation("state in the past", f"{stream} {point.told}", call)


@operation(2, "success")
def difference_to_the_past(draw: Draw) -> Operation | None:
    stream, before, after = accounts.stream(known(draw)), _point(draw), _point(draw)

    async def call(side: Side) -> Any:
        return await side.travel.difference(accounts, stream, await before(side), await after(side))

    return Operation("difference to the past", f"{stream} {before.told} {after.told}", call)


class _Drawn:
    """A point of time, which a side resolves: its tokens and positions are its own."""

    def __init__(self, told: str, number: int | None, point: PointInTime) -> None:
        self.told, self._number, self._point = told, number, point

    async def __call__(self, side: Side) -> PointInTime:
        if self._number is None:
            return self._point
        feed = await side.events.feed(limit=self._number)
        if not feed:
            return PointInTime(position="x")
        return PointInTime(position=str(feed[-1].cursor if self._number % 2 else feed[-1].position))


def _point(draw: Draw) -> _Drawn:
    stored = draw.store.events.stored
    number = draw.random.randrange(1, len(stored) + 1) if stored else 1
    at = draw.now - timedelta(seconds=draw.random.randrange(200))
    version = draw.random.randrange(9)
    return draw.random.choice(
        [
            _Drawn("now", None, PointInTime()),
            _Drawn(f"version {version}", None, PointInTime(version=version)),
            _Drawn(f"at {at}", None, PointInTime(at=at)),
            _Drawn(f"event {number}", number, PointInTime()),
            _Drawn("no position", None, PointInTime(position="nowhere")),
        ]
    )
