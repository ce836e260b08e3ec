"""Operations on read models, each with all that it is given: any side can carry it out at any time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from domain.amends.event import Cause
from tests.amends.contracts.projections.shelves import BOARD, FIRST, KNOWN, broken
from tests.amends.contracts.projections.sides import Side, position
from workflows.amends.ports.event_store import FeedCursor, IdempotencyKey, NewEvent
from workflows.amends.ports.projection_builds import BuildTarget, LeaseLost, RequestedAction
from workflows.amends.projections.administration import ProjectionAdministration
from workflows.amends.projections.builds import ProjectionBuilds
from workflows.amends.projections.runner import Runner

ANN = Cause(actor="ann")


@dataclass(frozen=True)
class Operation:
    """A call on a side, with its name and what it is given as one reads it."""

    name: str
    told: str
    call: Callable[[Side], Awaitable[Any]]


class Asleep:
    """Nobody waits for more events: there are none until the next operation."""

    async def wait_beyond(self, cursor: FeedCursor, seconds: float) -> bool:
        return False


def builds(side: Side) -> ProjectionBuilds:
    return ProjectionBuilds(KNOWN, side.store)


def administration(side: Side) -> ProjectionAdministration:
    return ProjectionAdministration(builds(side), patience=0.0)


# -- events, and code


async def append(side: Side, events: Sequence[NewEvent]) -> Any:
    await side.events.append(events)
    await side.settled()
    return len(events)


async def break_code(side: Side, pieces: int) -> bool:
    broken.add(pieces)
    return True


async def mend_code(side: Side, pieces: int) -> bool:
    broken.discard(pieces)
    return True


# -- runners


async def begin(side: Side, target: BuildTarget, executor: str) -> bool:
    """Let a new runner take the lease; what was another one of this executor is forgotten, as after a kill."""
    version = next((each.version for each in await side.store.builds(target.name) if each.build == target.build), 1)
    token = f"{executor}/{target.name}_{target.build}"
    clock = side.clock
    runner = Runner(
        KNOWN[target.name, version], target, side.store, Asleep(), token, clock=lambda: clock.now.timestamp()
    )
    side.runners[token] = runner
    if not await runner._take():
        del side.runners[token]
        return False
    await runner._begin()
    await _quiet(runner)
    return True


async def step(side: Side, token: str, limit: int, requested: bool) -> Any:
    """Let a runner apply a page of so many events; what was requested of it before, if it is told of that."""
    runner = side.runners.get(token)
    if runner is None:
        return None
    runner._limit, runner.action_requested = limit, requested
    try:
        await runner._next_page()
        await runner._written()
        await _quiet(runner)
    except Exception as error:
        del side.runners[token]
        for task in (runner._ahead, runner._writing, runner._counting):
            await _over(task)
        there = await side.store.builds(runner.target.name)
        if all(each.build != runner.target.build for each in there):
            return "dropped"
        if not isinstance(error, LeaseLost) and not side.store.errors.is_store_away(error):
            await side.store.note_failure(runner.target, token, type(error).__name__)
        raise
    return True


async def stop(side: Side, token: str) -> Any:
    """Let a runner give its lease back."""
    runner = side.runners.pop(token, None)
    if runner is None:
        return None
    await runner._give_back()
    return True


async def catch_up(side: Side, target: BuildTarget, executor: str) -> bool:
    """Let a runner follow the feed to its end."""
    if not await begin(side, target, executor):
        return False
    token = f"{executor}/{target.name}_{target.build}"
    runner = side.runners.pop(token)
    await runner._give_back()
    await runner.catch_up()
    return True


async def end_executor(side: Side, executor: str) -> bool:
    await side.end_executor(executor)
    return True


async def restart(side: Side) -> bool:
    await side.restart()
    return True


async def _quiet(runner: Runner) -> None:
    """Wait for what it has begun: the next operation comes when nothing is under way."""
    if runner._counting:
        await runner._counting
    if runner._ahead:
        await asyncio.wait({runner._ahead})


async def _over(task: asyncio.Task[Any] | None) -> None:
    if task:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


# -- people


async def create_first_builds(side: Side, old: bool) -> Any:
    known = ProjectionBuilds(FIRST if old else KNOWN, side.store)
    await known.create_first_builds()
    return known.unopened


async def rebuild(side: Side, name: str, once: IdempotencyKey | None) -> Any:
    return await administration(side).rebuild(name, ANN, once)


async def promote(side: Side, name: str, build: int | None, less: bool) -> Any:
    return await administration(side).promote(name, build, ANN, less=less)


async def drop(side: Side, name: str, build: int | None) -> Any:
    return await administration(side).drop(name, build, ANN)


async def drop_orphan(side: Side, name: str) -> Any:
    """Drop a read model as code does that does not know it."""
    others = {key: each for key, each in KNOWN.items() if key[0] != name}
    return await ProjectionAdministration(ProjectionBuilds(others, side.store), patience=0.0).drop(name, None, ANN)


async def request(side: Side, name: str, key: str, action: RequestedAction, once: IdempotencyKey | None) -> Any:
    return await administration(side).request_action(name, key, action, "because", ANN, once)


async def shown(side: Side, name: str, where: dict[str, str], after: str | None, limit: int) -> Any:
    return await side.store.visible_rows(builds(side).newest(name), where, after, limit)


async def reached(side: Side, name: str, number: int) -> Any:
    return await side.store.have_reached(name, [await position(side, number)])


async def listed(side: Side, name: str) -> Any:
    """What people are told of a read model: its builds with their lag, its dead letters, and what was skipped."""
    found = await side.store.builds(name)
    letters = await side.store.dead_letters(name)
    return {
        "lag": [await side.store.lag(build) for build in found],
        "dead letters": sorted(letters, key=lambda each: (each.build, each.key)),
        "skipped": sorted(await side.store.skipped_events(name), key=lambda each: (each.key, each.position)),
        "board": BOARD,
    }
