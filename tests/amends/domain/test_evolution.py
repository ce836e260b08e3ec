"""Events change their shape over the years, and every old one is still read."""

from __future__ import annotations

import pytest

from domain.amends.aggregate import Aggregate
from domain.amends.errors import DefinitionError
from domain.amends.event import EventType, Payload, event, event_type, upcasts
from domain.amends.vocabulary import NewerEvent, UnknownEvent, Unreadable, Vocabulary


@event("guest-registered", version=5)
class GuestRegistered:
    """1: name, phone. 2: name is full_name. 3: it has a country. 4: full_name is split. 5: no phone any more."""

    first: str
    last: str
    country: str


@upcasts(GuestRegistered, 1)
def _rename(data: Payload) -> Payload:
    return {"full_name" if field == "name" else field: value for field, value in data.items()}


@upcasts(GuestRegistered, 2)
def _default(data: Payload) -> Payload:
    return data | {"country": "DE"}


@upcasts(GuestRegistered, 3)
def _split(data: Payload) -> Payload:
    first, _, last = data["full_name"].partition(" ")
    return {"first": first, "last": last, "country": data["country"], "phone": data["phone"]}


@upcasts(GuestRegistered, 4)
def _drop(data: Payload) -> Payload:
    return {field: value for field, value in data.items() if field != "phone"}


@upcasts(GuestRegistered, 1, name="visitor-registered", to=("guest-registered", 3))
def _from_visitor(data: Payload) -> Payload:
    return {"full_name": data["visitor"], "country": "AT", "phone": ""}


VOCABULARY: Vocabulary[GuestRegistered] = Vocabulary((GuestRegistered,))


@pytest.mark.parametrize(
    ("version", "stored"),
    [
        (1, {"name": "Ada Lovelace", "phone": "1"}),
        (2, {"full_name": "Ada Lovelace", "phone": "1"}),
        (3, {"full_name": "Ada Lovelace", "phone": "1", "country": "DE"}),
        (4, {"first": "Ada", "last": "Lovelace", "phone": "1", "country": "DE"}),
        (5, {"first": "Ada", "last": "Lovelace", "country": "DE"}),
    ],
)
def test_every_older_shape_becomes_todays(version: int, stored: Payload) -> None:
    before = dict(stored)
    cls, data = VOCABULARY.upcast(EventType("guest-registered", version), stored)
    assert cls(**data) == GuestRegistered("Ada", "Lovelace", "DE")
    assert stored == before, "what is stored is not touched"


def test_an_event_that_had_another_name_is_read_too() -> None:
    cls, data = VOCABULARY.upcast(EventType("visitor-registered", 1), {"visitor": "Ada Lovelace"})
    assert cls(**data) == GuestRegistered("Ada", "Lovelace", "AT")


def test_only_todays_shape_is_read_without_a_hop() -> None:
    assert VOCABULARY.current_class(EventType("guest-registered", 5)) is GuestRegistered
    assert VOCABULARY.current_class(EventType("guest-registered", 4)) is None


def test_an_event_of_newer_code_is_an_error_that_says_so() -> None:
    with pytest.raises(NewerEvent, match=r"guest-registered version 6, written by newer code .* known here is 5"):
        VOCABULARY.upcast(EventType("guest-registered", 6), {})


def test_an_event_that_nobody_knows_is_an_error_that_says_so() -> None:
    with pytest.raises(UnknownEvent, match="guest-vanished version 1, but no code here knows"):
        VOCABULARY.upcast(EventType("guest-vanished", 1), {})


def test_sound_histories_are_accepted() -> None:
    VOCABULARY.require_sound()


def test_a_gap_is_refused() -> None:
    @event("gap", version=3)
    class Gap:
        pass

    upcasts(Gap, 1)(lambda data: data)
    with pytest.raises(DefinitionError, match=r"no upcaster starts from gap version 2: add @upcasts\(Gap, 2\)"):
        Vocabulary((Gap,)).require_sound()
    with pytest.raises(DefinitionError):
        Vocabulary((Gap,)).upcast(EventType("gap", 1), {})


def test_a_missing_first_hop_is_refused() -> None:
    @event("late", version=2)
    class Late:
        pass

    with pytest.raises(DefinitionError, match="no upcaster starts from late version 1"):
        Vocabulary((Late,)).require_sound()


def test_a_gap_below_an_older_name_is_refused() -> None:
    @event("renamed")
    class Renamed:
        pass

    upcasts(Renamed, 2, name="old-name", to=("renamed", 1))(lambda data: data)
    with pytest.raises(DefinitionError, match="no upcaster starts from old-name version 1"):
        Vocabulary((Renamed,)).require_sound()


def test_a_cycle_is_refused() -> None:
    @event("round")
    class Round:
        pass

    upcasts(Round, 1, name="a", to=("b", 1))(lambda data: data)
    upcasts(Round, 1, name="b", to=("a", 1))(lambda data: data)
    with pytest.raises(DefinitionError, match="cycle"):
        Vocabulary((Round,)).require_sound()


@pytest.mark.parametrize("other_is_old", [True, False])
def test_a_name_that_two_classes_have_had_is_refused(other_is_old: bool) -> None:
    """What is stored by it would be read as the wrong one."""

    @event("placed")
    class Placed:
        pass

    @event("opened-again" if other_is_old else "opened")
    class Opened:
        pass

    upcasts(Placed, 1, name="opened", to=("placed", 1))(lambda data: data)
    if other_is_old:
        upcasts(Opened, 1, name="opened", to=("opened-again", 1))(lambda data: data)
    for classes in ((Placed, Opened), (Opened, Placed)):
        with pytest.raises(DefinitionError, match=r"'opened'.* is an older name of .* has it too"):
            Vocabulary(classes).require_sound()


def test_a_hop_that_leads_nowhere_is_refused() -> None:
    @event("here")
    class Here:
        pass

    upcasts(Here, 1, name="there", to=("nowhere", 1))(lambda data: data)
    with pytest.raises(DefinitionError, match="leads nowhere"):
        Vocabulary((Here,)).require_sound()


def test_two_hops_from_one_shape_are_refused() -> None:
    @event("twice", version=2)
    class Twice:
        pass

    upcasts(Twice, 1)(lambda data: data)
    with pytest.raises(DefinitionError, match="there are two"):
        upcasts(Twice, 1)(lambda data: data)


def test_an_upcaster_of_todays_shape_is_refused() -> None:
    with pytest.raises(DefinitionError, match="not of an older version"):
        upcasts(GuestRegistered, 5)(lambda data: data)


def test_two_classes_of_one_event_are_refused() -> None:
    @event("guest-registered", version=1)
    class Again:
        pass

    with pytest.raises(DefinitionError, match=r"two classes, \S*GuestRegistered and \S*Again: give one"):
        Vocabulary((GuestRegistered, Again)).require_sound()


def test_what_cannot_be_read_has_one_kind_of_error() -> None:
    assert issubclass(NewerEvent, Unreadable)
    assert issubclass(UnknownEvent, Unreadable)


def test_an_aggregates_vocabulary_comes_from_its_evolve() -> None:
    def evolve(guests: int, event: GuestRegistered) -> int:
        return guests + 1

    evolve.__annotations__["event"] = GuestRegistered
    assert Aggregate("hotel", 0, evolve).vocabulary.classes == (GuestRegistered,)


def test_a_subclass_of_an_event_is_another_event_or_none() -> None:
    @event("lit")
    class Lit:
        watts: int

    class Brighter(Lit):
        pass

    with pytest.raises(DefinitionError, match="is not an event: decorate its class"):
        event_type(Brighter(3))
    assert event_type(event("lit-brighter")(Brighter)).name == "lit-brighter"
    assert event_type(Lit(3)).name == "lit"
