"""The vocabulary of the domain: events, aggregates, errors."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, dataclass

import pytest

from domain.amends.aggregate import Aggregate
from domain.amends.errors import DefinitionError, Invalid, Refusal
from domain.amends.event import EventType, event, event_type
from domain.money import Money


@event("lamp-lit", version=2)
class LampLit:
    lamp: str


def evolve(lit: int, event: LampLit) -> int:
    return lit + 1


def test_an_event_keeps_its_stored_name_and_version() -> None:
    assert event_type(LampLit("a")) == EventType("lamp-lit", 2)


def test_an_event_does_not_change() -> None:
    with pytest.raises(FrozenInstanceError):
        LampLit("a").lamp = "b"  # type: ignore[misc]


@pytest.mark.parametrize(("name", "version"), [("LampLit", 1), ("lamp lit", 1), ("", 1), ("lamp-lit", 0)])
def test_an_event_with_a_bad_name_or_version_is_not_declared(name: str, version: int) -> None:
    with pytest.raises(DefinitionError):
        event(name, version)


def test_what_is_no_event_has_no_type() -> None:
    with pytest.raises(DefinitionError, match="is not an event"):
        event_type(object())


def test_an_aggregate_folds_its_events() -> None:
    lamps = Aggregate("lamp", 0, evolve)
    assert lamps.fold([LampLit("a"), LampLit("b")]) == 2
    assert lamps.fold([LampLit("c")], 2) == 3


def test_an_aggregate_knows_its_events_and_names_its_streams() -> None:
    lamps = Aggregate("lamp", 0, evolve)
    assert lamps.vocabulary.current_class(EventType("lamp-lit", 2)) is LampLit
    assert lamps.stream("4") == "lamp-4"
    with pytest.raises(Invalid):
        lamps.stream(" ")


def test_an_aggregate_whose_evolve_says_nothing_of_its_events_is_not_declared() -> None:
    with pytest.raises(DefinitionError):
        Aggregate("lamp", 0, lambda state, event: state)


def test_an_aggregate_of_something_else_than_events_is_not_declared() -> None:
    @dataclass
    class Plain:
        x: int

    def evolve(state: int, event: Plain) -> int:
        return state

    evolve.__annotations__["event"] = Plain
    with pytest.raises(DefinitionError):
        Aggregate("plain", 0, evolve)


class TooHot(Refusal, name="too-hot"):
    """{lamp} has {degrees} degrees.

    More about it.
    """

    lamp: str
    degrees: int


def test_a_refusal_says_its_facts() -> None:
    refusal = TooHot("a", 90)
    assert str(refusal) == "a has 90 degrees."
    assert refusal.facts() == {"lamp": "a", "degrees": 90}
    assert refusal.name == "too-hot"


@pytest.mark.parametrize(("amount", "currency", "field"), [(-1, "EUR", "amount"), (1, "eur", "currency")])
def test_money_is_never_negative_and_has_a_currency(amount: int, currency: str, field: str) -> None:
    with pytest.raises(Invalid) as raised:
        Money(amount, currency)
    assert raised.value.field == field
