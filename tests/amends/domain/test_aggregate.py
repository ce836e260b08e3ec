"""What holds of every aggregate."""

from __future__ import annotations

from dataclasses import dataclass, field

from domain.amends.aggregate import Aggregate
from domain.amends.event import event


@event("aggregate-test-noted")
class Noted:
    number: int


@dataclass
class Notes:
    numbers: list[int] = field(default_factory=list)


def evolve(notes: Notes, event: Noted) -> Notes:
    notes.numbers.append(event.number)
    return notes


def test_an_evolve_that_changes_the_state_it_is_given_changes_no_other_instance() -> None:
    notes = Aggregate("aggregate-test", Notes(), evolve)
    assert notes.fold([Noted(1)]).numbers == [1]
    assert notes.fold([Noted(2)]).numbers == [2]
    assert notes.initial == Notes()
