"""What people and other sagas tell a saga, as tests that each store is held to (workflows.amends.ports.saga_store)."""

from __future__ import annotations

from dataclasses import replace

import pytest
from pydantic import JsonValue

from domain.amends.errors import NotFound, StaleVersion
from tests.amends.contracts.saga_contract import (
    AT,
    EXECUTOR,
    TYPE,
    Running,
    Store,
    checkpoint,
    completed,
    one,
    signal,
    started,
    starts,
)
from workflows.amends.history import (
    CancelRequested,
    OperatorActed,
    Problem,
    SagaCompensating,
    SagaStuck,
    SagaWaiting,
    SignalReceived,
    saga_histories,
)
from workflows.amends.history.events.children import child_ended_signal, child_undone_signal
from workflows.amends.ports.event_store import FeedCursor, RepeatedRequest, StoredAnswer
from workflows.amends.ports.execution_log import ChildIdTaken, CompensateChild, StatusChange, StreamMoved

ANSWER = StoredAnswer("key-1", "digest-1", {"said": "once"})


class SignalContract:
    """What people and other sagas tell a saga."""

    async def test_a_signal_queues_a_saga_that_waits_for_it_and_no_other(self, it: Store) -> None:
        saga = await started(it, "s-1")
        await saga.wait()
        assert isinstance(await it.sagas.signal("s-1", "other", signal("s-1", "other"), None), FeedCursor)
        assert await saga.status() == "waiting"
        assert not await saga.claimed_again()
        assert isinstance(await it.sagas.signal("s-1", "paid", signal("s-1"), None), FeedCursor)
        assert await saga.status() == "running"
        assert await saga.claimed_again()
        assert [type(event) for event in (await saga.history())[2:]] == [SignalReceived, SignalReceived]

    async def test_a_signal_to_a_running_saga_is_only_recorded(self, it: Store) -> None:
        saga = await started(it, "s-1")
        await it.sagas.signal("s-1", "paid", signal("s-1"), None)
        assert not await saga.claimed_again()
        assert await saga.commit(completed("charge", 1), expected={"saga-s-1": 1}) == StreamMoved("saga-s-1", 1, 2)

    async def test_a_finished_saga_takes_no_signal(self, it: Store) -> None:
        saga = await started(it, "s-1")
        await saga.complete()
        assert await it.sagas.signal("s-1", "paid", signal("s-1"), None) == "completed"
        assert len(await saga.history()) == 2

    async def test_nobody_tells_a_saga_something_that_is_not_there(self, it: Store) -> None:
        with pytest.raises(NotFound):
            await it.sagas.signal("s-1", "paid", signal("s-1"), None)
        with pytest.raises(NotFound):
            await it.sagas.cancel("s-1", (), "no", one("s-1", CancelRequested("no")), None)

    async def test_a_request_that_is_repeated_is_answered_as_the_first_time(self, it: Store) -> None:
        saga = await started(it, "s-1")
        first = await it.sagas.signal("s-1", "paid", signal("s-1"), ANSWER)
        again = await it.sagas.signal("s-1", "paid", signal("s-1"), replace(ANSWER, digest="another"))
        assert isinstance(first, FeedCursor)
        assert isinstance(again, RepeatedRequest)
        assert again.digest == "digest-1"
        assert again.body["said"] == "once"
        assert FeedCursor.parse(again.body["position"]) == first
        assert len(await saga.history()) == 2

    @pytest.mark.parametrize("suspended", ["wait", "stuck"])
    async def test_a_cancel_queues_a_saga_that_waits_or_is_stuck(self, it: Store, suspended: str) -> None:
        saga = await started(it, "s-1")
        await getattr(saga, suspended)()
        await it.sagas.cancel("s-1", ["ship"], "no", one("s-1", CancelRequested("no")), None)
        assert await saga.status() == "running"
        assert await saga.claimed_again()

    async def test_a_cancel_queues_a_saga_that_waits_for_a_provider(self, it: Store) -> None:
        saga = await started(it, "s-1")
        await saga.suspend("running", provider="stock", provider_since=AT, due_at=None, settled=True)
        assert not await saga.claimed_again()
        await it.sagas.cancel("s-1", (), "no", one("s-1", CancelRequested("no")), None)
        assert await saga.claimed_again()
        assert (await saga.stored()).provider == "stock", "until its next status says otherwise"

    async def test_a_cancel_of_a_running_or_compensating_saga_is_only_recorded(self, it: Store) -> None:
        saga = await started(it, "s-1")
        await it.sagas.cancel("s-1", (), "no", one("s-1", CancelRequested("no")), None)
        assert not await saga.claimed_again()
        await saga.commit(SagaCompensating("no"), change=StatusChange("compensating", "no"))
        await saga.stuck()
        await it.sagas.cancel("s-1", (), "no", one("s-1", CancelRequested("no")), None)
        assert not await saga.claimed_again()
        assert await saga.status() == "stuck"

    async def test_there_is_no_cancel_past_the_pivot_or_the_end(self, it: Store) -> None:
        saga = await started(it, "s-1")
        await saga.commit(completed("ship", 1), checkpoint=checkpoint(1))
        assert await it.sagas.cancel("s-1", ["ship"], "no", one("s-1", CancelRequested("no")), None) is None
        await saga.complete()
        assert await it.sagas.cancel("s-1", [], "no", one("s-1", CancelRequested("no")), None) == "completed"
        assert len(await saga.history()) == 3

    async def test_an_operators_action_queues_the_saga_that_it_is_about(self, it: Store) -> None:
        saga = await started(it, "s-1")
        acted = OperatorActed("retry", "now", 3, "charge")
        assert (
            await it.sagas.apply_operator_action("s-1", None, ["stuck"], one("s-1", acted), "running", None)
            == "running"
        )
        await saga.stuck()
        standing = await it.sagas.status_details("s-1")
        assert standing is not None
        assert (standing.status, standing.is_compensating, standing.stuck_at) == ("stuck", False, 2)
        assert standing.stuck == SagaStuck("why", 3, "charge")
        done = await it.sagas.apply_operator_action(
            "s-1", standing.stuck_at, ["stuck"], one("s-1", acted), "running", None
        )
        assert isinstance(done, FeedCursor)
        assert (await saga.status(), (await saga.history())[-1]) == ("running", acted)
        assert await saga.claimed_again()
        await saga.stuck()
        with pytest.raises(StaleVersion):
            await it.sagas.apply_operator_action(
                "s-1", standing.stuck_at, ["stuck"], one("s-1", acted), "running", None
            )


class FamilyContract:
    """What a parent and its children tell each other, in the commits of their own histories."""

    async def family(self, it: Store) -> tuple[Running, Running]:
        """A parent that waits for its child, which runs."""
        parent = await started(it, "s-1")
        await parent.commit(change=None, start=starts("child-1"))
        await parent.suspend(
            "waiting", SagaWaiting(1, child_ended_signal("child-1"), None), waiting_for=child_ended_signal("child-1")
        )
        assert [each.id for each in await it.sagas.claim(EXECUTOR, "child", [TYPE], 10)] == ["child-1"]
        return parent, Running(it, "child-1", "child")

    async def told(self, parent: Running) -> SignalReceived:
        event = (await parent.history())[-1]
        assert isinstance(event, SignalReceived)
        return event

    async def test_a_child_tells_its_parent_how_it_ended(self, it: Store) -> None:
        parent, child = await self.family(it)
        await child.complete({"a": 1})
        payload: JsonValue = {"status": "completed", "result": {"a": 1}}
        assert await self.told(parent) == SignalReceived(child_ended_signal("child-1"), payload)
        stored = await it.events.read(saga_histories.stream("s-1"))
        assert None not in stored[-1].metadata.values()
        assert await parent.claimed_again()

    async def test_a_child_that_was_compensated_says_why(self, it: Store) -> None:
        parent, child = await self.family(it)
        await child.compensate("sold out", Problem("sold-out", "sold out", {"sku": "x"}))
        error: JsonValue = {"name": "sold-out", "message": "sold out", "facts": {"sku": "x"}}
        payload: JsonValue = {"status": "compensated", "reason": "sold out", "error": error}
        assert await self.told(parent) == SignalReceived(child_ended_signal("child-1"), payload)

    async def test_a_completed_child_goes_on_to_be_compensated(self, it: Store) -> None:
        parent, child = await self.family(it)
        await child.complete()
        assert await parent.claimed_again()
        wanted = CompensateChild("child-1", "no", one("child-1", CancelRequested("no")))
        await parent.commit(recall=wanted)
        assert await child.status() == "running"
        assert await child.claimed_again("again")
        await child.compensate("no", Problem("cancelled", "no"))
        assert (await self.told(parent)).signal == child_undone_signal("child-1")

    async def test_a_child_that_waits_goes_on_to_be_compensated(self, it: Store) -> None:
        parent, child = await self.family(it)
        await child.wait()
        await it.sagas.cancel("s-1", (), "no", one("s-1", CancelRequested("no")), None)
        assert await parent.claimed_again()
        await parent.commit(recall=CompensateChild("child-1", "no", one("child-1", CancelRequested("no"))))
        assert await child.claimed_again("again")

    async def test_a_compensated_child_tells_so_again(self, it: Store) -> None:
        parent, child = await self.family(it)
        await child.compensate("no", Problem("cancelled", "no"))
        assert await parent.claimed_again()
        count = len(await parent.history())
        await parent.commit(recall=CompensateChild("child-1", "no", one("child-1", CancelRequested("no"))))
        assert len(await parent.history()) == count + 1
        assert not await child.claimed_again()

    async def test_of_a_child_that_is_not_there_nothing_is_left_to_undo(self, it: Store) -> None:
        """A fork has the result of a child that was undone since, and asks for the next one of its name."""
        parent = await started(it, "s-1")
        change = StatusChange("compensating", "no", child_undone_signal("child-1"))
        told = CompensateChild("child-1", "no", one("child-1", CancelRequested("no")))
        await parent.commit(recall=told, change=change, suspend=True)
        payload: JsonValue = {"status": "compensated", "reason": "it was not there", "error": None}
        assert await self.told(parent) == SignalReceived(child_undone_signal("child-1"), payload)
        assert await parent.claimed_again()

    async def test_a_saga_that_nobody_has_started_as_a_child_is_not_undone_as_one(self, it: Store) -> None:
        """Its id was taken when the child was to be started, and an operator has said what came of that."""
        parent = await started(it, "s-1")
        other = await started(it, "child-1", request="another request")
        change = StatusChange("compensating", "no", child_undone_signal("child-1"))
        told = CompensateChild("child-1", "no", one("child-1", CancelRequested("no")))
        await parent.commit(recall=told, change=change, suspend=True)
        assert await parent.claimed_again()
        assert len(await other.history()) == 1

    async def test_a_child_has_no_id_of_another_saga(self, it: Store) -> None:
        await it.sagas.start(starts("child-1", "another request"))
        await it.sagas.claim(EXECUTOR, "child", [TYPE], 10)
        parent = await started(it, "s-1")
        with pytest.raises(ChildIdTaken):
            await parent.commit(completed("charge", 1), start=starts("child-1"))
        assert len(await parent.history()) == 1
