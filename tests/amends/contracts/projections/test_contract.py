"""What every store of read models promises, in memory and in Postgres."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import timedelta
from typing import Any

import pytest

from domain.amends.errors import Conflict, Invalid, NotFound
from domain.amends.event import Cause
from tests.amends.contracts.projections.operations import administration, append, catch_up
from tests.amends.contracts.projections.shelves import BOARD, KNOWN, Emptied, Filled, Moved, board, broken, wide
from tests.amends.contracts.projections.sides import Side, memory, position, postgres
from workflows.amends.ports.event_store import START, FeedCursor, IdempotencyKey, new_business_event
from workflows.amends.ports.projection_builds import (
    LEASE,
    BuildCommit,
    BuildTarget,
    LeaseLost,
    ProjectionBuild,
    RejectedKey,
    ServerChanged,
)
from workflows.amends.projections.builds import ProjectionBuilds
from workflows.amends.projections.feed import NewerReader, ProjectionFeed, types_of
from workflows.amends.values.codec import parse_json

ONE, TWO = BuildTarget(BOARD, 1), BuildTarget(BOARD, 2)
ME, ANOTHER = "e-1/me", "e-2/another"
ROW = '[{"shelf": "a", "pieces": 3, "times": 1}]'


@pytest.fixture(params=["memory", "postgres"])
async def side(request: pytest.FixtureRequest) -> AsyncIterator[Side]:
    broken.clear()
    async with AsyncExitStack() as stack:
        if request.param == "memory":
            yield await stack.enter_async_context(memory())
        else:
            yield await stack.enter_async_context(postgres(request.getfixturevalue("database_18")))


async def fill(side: Side, shelf: str, *what: object) -> FeedCursor:
    """Append to a shelf; returns the place of the last event."""
    await append(side, [new_business_event(f"shelf-{shelf}", each, Cause()) for each in what])
    return (await side.events.feed())[-1].cursor


async def build(side: Side, number: int = 1) -> ProjectionBuild:
    return next(each for each in await side.store.builds(BOARD) if each.build == number)


async def wait(side: Side, seconds: float) -> None:
    await side.tell_time(side.clock.now + timedelta(seconds=seconds))


async def commit(side: Side, end: FeedCursor, **given: Any) -> BuildCommit:
    """A commit of what stands before a place, by a runner that has the lease."""
    found = await build(side)
    wanted: dict[str, Any] = {"begin": found.cursor, "rows": ROW, "gone": (), "rejected": (), "runner": ME}
    wanted |= {"target": ONE, "run": found.run, "events": 1, "caught_up": False}
    return BuildCommit(end=FeedCursor(*end), **wanted | given)


async def rows(side: Side, target: BuildTarget = ONE) -> Any:
    return parse_json(await side.store.rows_json(target, ["a", "b"]))


async def test_a_lease_has_one_runner_until_it_is_over_or_given_back(side: Side) -> None:
    store = side.store
    assert await store.take_lease(ONE, ME)
    assert await store.take_lease(ONE, ME)
    assert not await store.take_lease(ONE, ANOTHER)
    await wait(side, LEASE.total_seconds() + 1)
    assert (await build(side)).free
    assert await store.take_lease(ONE, ANOTHER)
    await store.release_lease(ONE, ME)
    assert (await build(side)).runner == ANOTHER, "nobody gives back what is another's"
    await store.release_lease(ONE, ANOTHER)
    assert await store.take_lease(ONE, ME)
    await side.end_executor("e-1")
    assert await store.take_lease(ONE, ANOTHER), "the executor of the first was ended"
    assert not await store.take_lease(BuildTarget(BOARD, 99), ME)


async def test_a_commit_renews_the_lease_and_moves_the_checkpoint(side: Side) -> None:
    end = await fill(side, "a", Filled(3))
    assert await side.store.take_lease(ONE, ME)
    await wait(side, 6)
    await side.store.commit(await commit(side, end, caught_up=True))
    await wait(side, 6)
    assert not await side.store.take_lease(ONE, ANOTHER)
    found = await build(side)
    assert (found.cursor, found.events, found.caught_up_at) == (end, 1, side.clock.now - timedelta(seconds=6))
    assert await rows(side) == [{"shelf": "a", "pieces": 3, "times": 1}]
    await side.store.commit(await commit(side, end, rows="[]", gone=["a"], events=0))
    assert await rows(side) == []


async def test_a_commit_is_refused_whole_once_another_runner_has_written(side: Side) -> None:
    end = await fill(side, "a", Filled(3))
    assert await side.store.take_lease(ONE, ME)
    late = await commit(side, end)
    await wait(side, 11)
    assert await side.store.take_lease(ONE, ANOTHER)
    with pytest.raises(LeaseLost):
        await side.store.commit(late)
    await side.store.commit(await commit(side, end, runner=ANOTHER, rows="[]"))
    await side.store.release_lease(ONE, ANOTHER)
    assert await side.store.take_lease(ONE, ME), "with its lease back"
    with pytest.raises(LeaseLost):
        await side.store.commit(late)
    assert await rows(side) == []
    with pytest.raises(LeaseLost):
        await side.store.commit(await commit(side, end, target=BuildTarget(BOARD, 99)))


async def test_a_commit_of_what_another_server_told_is_refused(side: Side) -> None:
    end = await fill(side, "a", Filled(3))
    assert await side.store.take_lease(ONE, ME)
    read = await commit(side, end)
    await side.restart()
    with pytest.raises(ServerChanged):
        await side.store.commit(read)
    assert ((await build(side)).cursor, await rows(side)) == (START, [])
    await side.store.commit(await commit(side, end))


async def test_a_commit_with_a_row_that_its_table_does_not_take_changes_nothing(side: Side) -> None:
    end = await fill(side, "a", Filled(3))
    assert await side.store.take_lease(ONE, ME)
    with pytest.raises(Exception) as refused:  # noqa: PT011
        await side.store.commit(await commit(side, end, rows=ROW.replace("3", str(2**63))))
    assert side.store.errors.is_about_row(refused.value)
    assert not side.store.errors.is_store_away(refused.value)
    assert ((await build(side)).cursor, await rows(side)) == (START, [])


async def test_nothing_of_a_trial_stays(side: Side) -> None:
    async with side.store.row_trial(ONE) as trial:
        await trial.put_rows(ROW, [])
        assert parse_json(await trial.rows_json(["a"])) == [{"shelf": "a", "pieces": 3, "times": 1}]
        with pytest.raises(Exception):  # noqa: B017, PT011
            await trial.put_rows(ROW.replace("3", str(2**63)), ["a"])
        assert len(parse_json(await trial.rows_json(["a"]))) == 1, "what fails takes out nothing"
        await trial.put_rows("[]", ["a"])
        assert parse_json(await trial.rows_json(["a"])) == []
        await trial.put_rows(ROW, [])
    assert await rows(side) == []


async def test_a_page_has_the_events_of_some_types_and_the_place_of_the_last_of_all(side: Side) -> None:
    await fill(side, "a", Filled(1), Moved(), Filled(2), Emptied(), Moved())
    page = await side.store.read_page(ONE, types_of(board), START, 3)
    assert [(each.name, each.version) for each in page.events] == [
        ("contract-shelf-filled", 1),
        ("contract-shelf-filled", 3),
    ]
    assert (page.full, page.unread) == (True, None)
    assert page.end == FeedCursor(*await position(side, 3))
    rest = await side.store.read_page(ONE, types_of(board), page.end, 3)
    assert [each.version for each in rest.events] == [4]
    assert (rest.full, rest.end) == (False, FeedCursor(*await position(side, 5)))
    assert rest.end is not None
    assert (await side.store.read_page(ONE, types_of(board), rest.end, 3)).end is None


async def test_code_that_would_pass_over_events_of_a_build_is_told_so(side: Side) -> None:
    await fill(side, "a", Filled(1))
    page = await side.store.read_page(ONE, ["contract-shelf-filled"], START, 3)
    assert page.unread == "contract-shelf-emptied"
    feed = ProjectionFeed(board, ONE, side.store)
    feed.types = ["contract-shelf-filled"]
    with pytest.raises(NewerReader, match="contract-shelf-emptied"):
        await feed.page_after(START, 3)


async def test_one_build_is_live_and_one_at_most_is_being_built(side: Side) -> None:
    assert await side.store.create_first_build(wide) is None, "there is one"
    assert [each.state for each in await side.store.builds(BOARD)] == ["live"]
    await administration(side).rebuild(BOARD, Cause())
    with pytest.raises(Conflict, match="is being rebuilt already"):
        await administration(side).rebuild(BOARD, Cause())
    assert [(each.state, each.version) for each in await side.store.builds(BOARD)] == [("live", 1), ("building", 2)]
    with pytest.raises(NotFound):
        await administration(side).rebuild("nothing", Cause())


async def test_a_promotion_shows_no_less_than_before(side: Side) -> None:
    await fill(side, "a", Filled(13))
    assert await catch_up(side, ONE, "e-1")
    await administration(side).rebuild(BOARD, Cause())
    with pytest.raises(Conflict, match="behind"):
        await administration(side).promote(BOARD, 2, Cause())
    broken.add(13)
    assert await catch_up(side, TWO, "e-1")
    with pytest.raises(Conflict, match="would show less"):
        await administration(side).promote(BOARD, None, Cause())
    await administration(side).promote(BOARD, None, Cause(), less=True)
    assert [each.state for each in await side.store.builds(BOARD)] == ["retired", "live"]
    await fill(side, "b", Filled(1))
    assert await catch_up(side, TWO, "e-1")
    with pytest.raises(Conflict, match="behind"):
        await administration(side).promote(BOARD, 1, Cause())
    assert await catch_up(side, ONE, "e-1")
    await administration(side).promote(BOARD, 1, Cause())
    with pytest.raises(Conflict, match="is live"):
        await administration(side).drop(BOARD, 1, Cause())
    assert (await administration(side).drop(BOARD, None, Cause()))["dropped"] == 2
    assert not await side.store.take_lease(TWO, ME)


async def test_a_read_model_whose_code_is_gone_is_dropped_once_nobody_follows_it(side: Side) -> None:
    known = {key: each for key, each in KNOWN.items() if key[0] != BOARD}
    others = type(administration(side))(ProjectionBuilds(known, side.store), patience=0.0)
    with pytest.raises(Conflict, match="within the last 20 s"):
        await others.drop(BOARD, None, Cause())
    await wait(side, 21)
    assert (await others.drop(BOARD, None, Cause()))["dropped"] == [1]
    assert await side.store.builds(BOARD) == []
    with pytest.raises(Conflict, match="has no table"):
        await side.store.visible_rows(board, {}, None, 10)
    assert await side.store.have_reached(BOARD, [await position(side, 1)]) == [None], (
        "what is not there has got nowhere"
    )


async def test_an_operation_is_one_commit_with_its_event_and_its_answer(side: Side) -> None:
    key = IdempotencyKey("key", "digest")
    first = await administration(side).rebuild(BOARD, Cause(actor="ann"), key)
    await side.settled()
    (event,) = await side.events.feed()
    assert (event.stream, event.name, event.metadata["actor"]) == (f"projection-{BOARD}", "build-begun", "ann")
    assert first == {"name": BOARD, "build": 2, "version": 2, "position": str(event.cursor)}
    assert await administration(side).rebuild(BOARD, Cause(), key) == first, "it is carried out once"
    with pytest.raises(Conflict, match="was used for another request"):
        await administration(side).rebuild(BOARD, Cause(), IdempotencyKey("key", "another"))
    await side.settled()
    assert len(await side.events.feed()) == 1
    assert len(await side.store.builds(BOARD)) == 2


async def aside(side: Side) -> list[tuple[str, str | None, int]]:
    return [(each.key, each.requested_action, each.waiting) for each in await side.store.dead_letters(BOARD)]


async def test_what_is_requested_while_a_runner_is_at_something_else_is_not_lost(side: Side) -> None:
    broken.add(13)
    end = await fill(side, "a", Filled(13), Filled(13))
    assert await catch_up(side, ONE, "e-3")
    await administration(side).request_action(BOARD, "a", "retry", "perhaps", Cause())
    assert await side.store.take_lease(ONE, ME)
    assert await side.store.requested_actions(ONE) == [("a", "retry")]
    positions = [each.position for each in await side.store.dead_letter_events(ONE, "a")]
    await administration(side).request_action(BOARD, "a", "skip", "no, leave it out", Cause())
    again = {"rejected": [RejectedKey("a", "again", positions)], "rows": "[]", "events": 0}
    await side.store.commit(await commit(side, end, cleared=("a", "retry"), **again))
    assert await aside(side) == [("a", "skip", 1)]
    behind = {"rejected": [RejectedKey("a", "again", positions[1:])], "rows": "[]", "events": 0}
    skipped = [("a", positions[0])]
    await side.store.commit(await commit(side, end, cleared=("a", "skip"), skipped=skipped, **behind))
    assert await aside(side) == [("a", None, 0)]
    assert await side.store.skipped_positions(BOARD) == {positions[0]}
    (left_out,) = await side.store.skipped_events(BOARD)
    assert (left_out.key, left_out.build, left_out.reason) == ("a", 1, "no, leave it out")


async def test_a_failure_is_noted_unless_somebody_else_follows(side: Side) -> None:
    assert await side.store.take_lease(ONE, ME)
    await side.store.note_failure(ONE, ANOTHER, "not mine")
    assert (await build(side)).failure is None
    await side.store.note_failure(ONE, ME, "a table")
    assert (await build(side)).failure == "a table"
    end = await fill(side, "a", Moved())
    await side.store.commit(await commit(side, end, rows="[]"))
    assert (await build(side)).failure is None
    await wait(side, 11)
    await side.store.note_failure(ONE, ANOTHER, "anybody may")
    assert (await build(side)).failure == "anybody may"


async def test_rows_are_found_by_the_values_of_columns_in_the_order_of_keys(side: Side) -> None:
    await fill(side, "b", Filled(3))
    await fill(side, "a", Filled(3))
    await fill(side, "c", Filled(4))
    assert await catch_up(side, ONE, "e-1")
    shown = side.store.visible_rows
    assert [each["shelf"] for each in await shown(board, {"pieces": "3"}, None, 10)] == ["a", "b"]
    assert [each["shelf"] for each in await shown(board, {}, "a", 1)] == ["b"]
    assert await shown(board, {"shelf": "c", "pieces": "3"}, None, 10) == []
    for where in ({"pieces": "many"}, {"nothing": "1"}):
        with pytest.raises(Invalid) as wrong:
            await shown(board, where, None, 10)
        assert wrong.value.field == next(iter(where))
    with pytest.raises(Invalid, match="promote the new table"):
        await shown(wide, {"is_full": "true"}, None, 10)


async def test_a_place_is_reached_once_nothing_that_is_read_lies_before(side: Side) -> None:
    first, other = await fill(side, "a", Filled(1)), await fill(side, "a", Moved())
    gone = FeedCursor(*first, event=other.event)
    assert await side.store.have_reached(BOARD, [first, other, gone]) == [None, None, False]
    assert await catch_up(side, ONE, "e-1")
    last, unread = await fill(side, "a", Filled(1)), await fill(side, "a", Moved())
    assert await side.store.have_reached(BOARD, [first, other, last, unread]) == [True, True, None, None]
    lag = await side.store.lag(await build(side))
    assert lag.events == 1


async def test_an_inline_row_is_there_with_the_append(side: Side) -> None:
    await fill(side, "a", Filled(3), Filled(4))
    assert parse_json(await side.store.rows_json(BuildTarget("contract_now", 1), ["a"])) == [
        {"shelf": "a", "pieces": 7, "times": 2, "_version": 2}
    ]
    broken.add(13)
    await fill(side, "a", Filled(13))
    await fill(side, "a", Filled(1))
    assert parse_json(await side.store.rows_json(BuildTarget("contract_now", 1), ["a"]))[0]["pieces"] == 7, (
        "left to the runner"
    )
    assert await catch_up(side, BuildTarget("contract_now", 1), "e-1")
    (letter,) = await side.store.dead_letters("contract_now")
    assert (letter.key, letter.version, letter.waiting) == ("a", 3, 1)
