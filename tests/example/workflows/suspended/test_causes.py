"""What a saga of the example is grouped by when it is suspended, or compensated."""

from __future__ import annotations

import pytest

from tests.example.workflows.fakes import FakeProvider, place_order, request
from workflows.amends.causes.failure_cause import FailureCause
from workflows.amends.simulation.simulation import ID, Simulation


def causes(simulation: Simulation) -> tuple[FailureCause | None, FailureCause | None]:
    """Why it is suspended, and why it is compensated."""
    row, known = simulation.store.rows[ID], simulation.store.causes
    suspended, compensated = (id and known[id].cause for id in (row.cause, row.compensation_cause))
    return suspended or None, compensated or None


async def test_a_compensation_is_told_by_the_type_of_the_refusal() -> None:
    simulation = Simulation()
    await simulation.run(place_order(FakeProvider()), request(postcode="00000"))
    assert causes(simulation) == (None, FailureCause("compensating", "place-order", 1, error="no-courier"))


async def test_a_step_that_nobody_answered_is_told_by_the_class_of_its_error() -> None:
    simulation = Simulation()
    await simulation.run(place_order(FakeProvider(failures={"charge": 99})), request())
    because = FailureCause("compensating", "place-order", 1, error="unanswered: ConnectionError")
    assert causes(simulation) == (None, because)


async def test_a_cancel_says_nothing_of_its_reason() -> None:
    simulation = Simulation()
    simulation.cancel("Ada Lovelace called", at=2)
    await simulation.run(place_order(FakeProvider()), request())
    assert causes(simulation) == (None, FailureCause("compensating", "place-order", 1, error="cancelled"))


async def test_a_compensation_that_fails_is_told_by_its_step_and_by_why_it_began() -> None:
    simulation, provider = Simulation(), FakeProvider(failures={"refund": 5})
    await simulation.run(place_order(provider), request(postcode="00000"))
    stuck = FailureCause("stuck", "place-order", 1, "refund_card", None, "ConnectionError: refund is down")
    because = FailureCause("compensating", "place-order", 1, error="no-courier")
    assert causes(simulation) == (stuck, because)
    simulation.handle_stuck("retry")
    assert causes(simulation) == (None, because)
    await simulation.run(place_order(provider), request(postcode="00000"))
    assert causes(simulation) == (None, because)


async def test_sagas_with_the_same_trouble_have_one_cause() -> None:
    found = list[FailureCause | None]()
    for token in ("tok_ok", "tok_flaky"):
        simulation = Simulation()
        provider = FakeProvider(failures={"book": 99})
        await simulation.run(place_order(provider), request(token))
        found.append(causes(simulation)[0])
    assert (
        found[0]
        == found[1]
        == FailureCause("stuck", "place-order", 1, "book_courier", None, "ConnectionError: book is down")
    )


@pytest.mark.parametrize("action", ["retry", "skip"])
async def test_a_saga_that_goes_on_is_not_suspended_by_it_any_more(action: str) -> None:
    simulation, provider = Simulation(), FakeProvider(failures={"book": 99})
    await simulation.run(place_order(provider), request())
    provider.failures.clear()
    simulation.handle_stuck(action)  # type: ignore[arg-type]
    await simulation.run(place_order(provider), request())
    assert causes(simulation)[0] is None
