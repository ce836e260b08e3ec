"""What a saga may do with children: catch their refusals, have a deadline, come after a pivot, be stuck beside them."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from domain.amends.errors import DefinitionError
from workflows.amends.history import CancelRequested, ChildStarted, SagaStuck
from workflows.amends.saga import Call, ChildFailed, Saga, Transaction, Undo, hours, signal, step, transaction
from workflows.amends.simulation.simulation import Simulation


@dataclass(frozen=True)
class Shipping(Saga[str, str], name="shipping"):
    """Waits for a person, then ships: there is no way back from that."""

    log: list[str]

    async def run(self, request: str) -> str:
        return await self.ship(request)

    @step(pivot=True)
    async def ship(self, call: Call, request: str) -> str:
        self.log.append("ship")
        if request == "refused":
            raise ChildFailed("shipping", "no carrier")
        return request


@dataclass(frozen=True)
class Selling(Saga[str, str], name="selling", children=(Shipping,)):
    log: list[str]

    async def run(self, request: str) -> str:
        await self.pay(request)
        try:
            return await self.child(Shipping, request)
        except ChildFailed:
            return await self.child(Shipping, "another carrier")

    @step
    async def pay(self, call: Call, request: str) -> None:
        self.log.append("pay")

    @pay.compensation
    async def refund(self, undo: Undo[None], request: str) -> None:
        self.log.append("refund")


async def test_the_refusal_of_a_child_can_be_caught_and_another_way_be_taken() -> None:
    log: list[str] = []
    played = await Simulation(sagas=[Shipping(log)]).run(Selling(log), "refused")
    assert (played.state.status, played.result) == ("completed", "another carrier")
    assert log == ["pay", "ship", "ship"]


def test_a_child_with_a_pivot_is_a_pivot_of_its_parent() -> None:
    steps = {each["name"]: each for each in Selling.definition.describe()["steps"]}
    assert steps["shipping"] == {"name": "shipping", "kind": "child", "pivot": True, "compensation": None}


async def test_a_child_that_is_not_declared_is_refused() -> None:
    @dataclass(frozen=True)
    class Sloppy(Saga[str, str], name="sloppy"):
        async def run(self, request: str) -> str:
            return await self.child(Shipping, request)

    on = Simulation(sagas=[Shipping([])])
    played = await on.run(Sloppy(), "x")
    assert played.state.status == "stuck"
    assert "is none of the sagas that sloppy declares" in (played.state.reason or "")


def test_two_steps_of_one_name_are_refused() -> None:
    with pytest.raises(DefinitionError, match="two steps of the name 'shipping'"):

        class Twice(Saga[str, str], name="twice-shipping", children=(Shipping, Shipping)):
            async def run(self, request: str) -> str:
                return await self.child(Shipping, request)


@signal("go")
class Go:
    """Somebody says that it may go on."""


@dataclass(frozen=True)
class Waiter(Saga[str, str], name="waiter", signals=(Go,)):
    async def run(self, request: str) -> str:
        await self.hold(request)
        await self.receive(Go)
        return request

    @transaction
    async def hold(self, tx: Transaction, request: str) -> None: ...

    @hold.compensation
    async def release(self, tx: Transaction, request: str) -> None: ...


@dataclass(frozen=True)
class Patient(Saga[str, str], name="patient", children=(Waiter,), deadline=hours(1)):
    async def run(self, request: str) -> str:
        return await self.child(Waiter, request)


async def test_the_deadline_of_a_parent_ends_its_child() -> None:
    on = Simulation(sagas=[Waiter()])
    played = await on.run(Patient(), "x")
    assert played.state.status == "compensated"
    assert on.status["simulated.waiter.1.0"] == "compensated"
    told = [event.reason for _, event in on.history("simulated.waiter.1.0") if isinstance(event, CancelRequested)]
    assert len(told) == 1
    assert "its deadline" in told[0]


@dataclass(frozen=True)
class Mixed(Saga[str, None], name="mixed", children=(Waiter,)):
    """One branch has a bug while the other, a child, is under way."""

    async def run(self, request: str) -> None:
        await self.gather(self.fragile(request), self.child(Waiter, request), self.child(Waiter, "other"))

    @transaction
    async def fragile(self, tx: Transaction, request: str) -> None:
        raise ValueError("a bug")

    @fragile.compensation
    async def mend(self, tx: Transaction, request: str) -> None: ...


@pytest.mark.parametrize("tells", [False, True])
@pytest.mark.parametrize("at", range(1, 12))
async def test_children_beside_a_branch_that_is_stuck_are_called_back_by_a_cancel(at: int, tells: bool) -> None:
    async def act(crash: int, landed: bool = False) -> Simulation:
        on = Simulation(sagas=[Waiter()], tells=tells)
        on.start(Mixed(), "x")
        on.cancel("no", at)
        if crash:
            on.crash(crash, landed)
        for _ in range(6):  # who is stuck is woken by the cancel
            played = await on.run(Mixed(), "x")
        if any(isinstance(event, CancelRequested) for _, event in on.history()):
            assert (played.state.status, played.state.reason) == ("compensated", "cancelled: no"), (crash, landed)
            assert set(on.status.values()) == {"compensated"}, (crash, landed)
        return on

    for number in range(1, (await act(0)).commits + 1):
        await act(number, landed=False)
        await act(number, landed=True)


@dataclass(frozen=True)
class Late(Saga[str, str], name="late", children=(Waiter,)):
    """Its child comes after the point of no return."""

    async def run(self, request: str) -> str:
        await self.commit(request)
        return await self.child(Waiter, request)

    @transaction(pivot=True)
    async def commit(self, tx: Transaction, request: str) -> None: ...


@dataclass(frozen=True)
class Refusing(Waiter, name="waiter", signals=(Go,)):
    async def run(self, request: str) -> str:
        await self.hold(request)
        raise ChildFailed("waiter", "no")


async def test_a_child_that_is_refused_after_the_pivot_waits_for_a_person_who_can_try_it_again() -> None:
    on = Simulation(sagas=[Refusing()])
    played = await on.run(Late(), "x")
    assert played.state.status == "stuck"
    stuck = next(event for _, event in on.history() if isinstance(event, SagaStuck))
    assert stuck.step == "waiter"
    on.sagas = [Waiter()]
    on.handle_stuck("retry")
    played = await on.run(Late(), "x", signals=[Go()])
    assert (played.state.status, played.result) == ("completed", "x")
    assert [event.child for _, event in on.history() if isinstance(event, ChildStarted)] == [
        "simulated.waiter.1.0",
        "simulated.waiter.1.0.1",
    ]
