"""What is marked personal or secret is not shown, and not said in errors either."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Annotated, Any

import pytest

from domain.amends.errors import DefinitionError, Refusal
from domain.amends.projection import Projection, Recorded
from domain.amends.sensitive import PERSONAL, SECRET
from tests.example.workflows.fakes import FakeProvider, place_order, request
from workflows.amends.history import SagaStarted, StepRetrying, saga_histories
from workflows.amends.redaction.sensitive import hidden_values, marked_shape, without_values
from workflows.amends.redaction.shapes import Part, shape_of
from workflows.amends.redaction.visibility import MaskCount, Visibility
from workflows.amends.saga import Call, Retry, Saga, Undo, seconds, step
from workflows.amends.simulation.simulation import Simulation


@dataclass(frozen=True)
class Address:
    street: Annotated[str, PERSONAL]
    country: str


@dataclass(frozen=True)
class Customer:
    name: Annotated[str, PERSONAL]
    tokens: tuple[Annotated[str, SECRET], ...]
    home: Address
    others: list[Address]
    by_name: dict[str, Address]
    maybe: Address | None
    age: int


CUSTOMER = {
    "name": "Ann Example",
    "tokens": ["tok_1", "tok_2"],
    "home": {"street": "Main St", "country": "DE"},
    "others": [{"street": "Side St", "country": "AT"}],
    "by_name": {"work": {"street": "Work St", "country": "CH"}},
    "maybe": None,
    "age": 41,
}


def masked(data: Any, annotation: Any) -> Any:
    known = [Part(made := shape_of(annotation), made)]
    return Visibility(known, known).masked(data, MaskCount())


def test_marked_values_are_masked_wherever_they_are() -> None:
    assert masked(CUSTOMER, Customer) == {
        "name": "***",
        "tokens": ["***", "***"],
        "home": {"street": "***", "country": "DE"},
        "others": [{"street": "***", "country": "AT"}],
        "by_name": {"work": {"street": "***", "country": "CH"}},
        "maybe": None,
        "age": 41,
    }


def test_data_of_another_shape_is_masked() -> None:
    assert masked({"name": {"first": "Ann"}, "home": "none", "new": 1, "age": 41}, Customer) == {
        "name": "***",
        "home": "***",
        "new": "***",
        "age": 41,
    }


def test_marked_values_are_found() -> None:
    assert set(hidden_values(CUSTOMER, marked_shape(Customer))) == {
        "Ann Example", "tok_1", "tok_2", "Main St", "Side St", "Work St",
    }  # fmt: skip


def test_what_has_no_marks_is_passed_on() -> None:
    assert marked_shape(int) is None
    assert masked({"a": 1}, dict[str, int]) == {"a": 1}


def test_what_others_say_is_cleaned() -> None:
    assert without_values("Ann Example of Main St", ("Ann Example", "Main St")) == "*** of ***"
    assert without_values({"code": 10115, "said": ['"Ann"', None]}, ("10115", '"Ann"')) == {
        "code": "***",
        "said": ["***", None],
    }
    assert without_values("cut off \ud83d and \0") == "cut off \\ud83d and \\u0000"


class Unreachable(Refusal, name="unreachable"):
    """{phone} does not answer ({tries} tries)."""

    phone: Annotated[str, PERSONAL]
    tries: int


def test_a_refusal_does_not_say_what_is_marked() -> None:
    assert str(Unreachable("555-1234", 3)) == "*** does not answer (3 tries)."
    assert Unreachable("555-1234", 3).facts() == {"phone": "555-1234", "tries": 3}
    assert Unreachable("555-1234", 3).redacted_facts() == {"phone": "***", "tries": 3}


@dataclass(frozen=True)
class Leaky(Saga[Customer, None], name="leaky"):
    async def run(self, request: Customer) -> None:
        await self.call_them(request.name)

    @step(retry=Retry(attempts=2, first_wait=seconds(0)), compensation=None)
    async def call_them(self, call: Call, name: str) -> None:
        raise ConnectionError(f"nobody called {name} with tok_1 here")


def customer() -> Any:
    return Customer("Ann Example", ("tok_1",), Address("Main St", "DE"), [], {}, None, 41)


async def test_errors_of_others_are_stored_and_logged_without_marked_values(caplog: pytest.LogCaptureFixture) -> None:
    simulation = Simulation()
    with caplog.at_level(logging.DEBUG):
        played = await simulation.run(Leaky(), customer())
    assert played.state.reason == "call_them: nobody called *** with *** here"
    retried = [event.error.message for _, event in simulation.history() if isinstance(event, StepRetrying)]
    assert retried == ["nobody called *** with *** here"]
    assert "Ann Example" not in caplog.text
    assert "tok_1" not in caplog.text
    assert "nobody called" in caplog.text


@dataclass(frozen=True)
class Whispering(Saga[str, None], name="whispering"):
    async def run(self, request: str) -> None:
        await self.whisper(f"pin {request}")
        await self.shout(f"pin {request}")

    @step(retry=Retry(attempts=1))
    async def whisper(self, call: Call, pin: Annotated[str, SECRET]) -> None:
        """Nothing goes wrong yet."""

    @whisper.compensation
    async def hush(self, undo: Undo[None], pin: Annotated[str, SECRET]) -> None:
        raise ConnectionError(f"nobody unheard {pin}")

    @step(retry=Retry(attempts=1), compensation=None)
    async def shout(self, call: Call, pin: Annotated[str, SECRET]) -> None:
        raise ConnectionError(f"nobody heard {pin}")


async def test_errors_do_not_say_the_marked_arguments_of_a_step() -> None:
    simulation = Simulation()
    await simulation.run(Whispering(), "4711")
    said = [str(event) for _, event in simulation.history() if "nobody" in str(event)]
    assert len(said) >= 2
    assert all("nobody heard ***" in each or "nobody unheard ***" in each for each in said)
    assert not any("4711" in each for each in said)


async def test_a_courier_that_is_not_found_does_not_tell_the_postcode() -> None:
    played = await Simulation().run(place_order(FakeProvider()), request(postcode="00000"))
    assert played.state.reason == "No courier delivers to postcode ***."
    assert played.state.error is not None
    assert played.state.error.facts == {"postcode": "00000"}, "it is stored, for the refusal to come back"


@dataclass(frozen=True)
class ByPhone:
    phone: Annotated[str, PERSONAL]


def test_the_key_of_a_read_model_is_not_personal() -> None:
    """It stands in addresses, and in where the next page begins."""

    def evolve(row: ByPhone | None, recorded: Recorded[SagaStarted]) -> ByPhone | None:
        return row

    with pytest.raises(DefinitionError, match="its key 'phone' is personal"):
        Projection("by_phone", version=1, of=saga_histories, evolve=evolve, key="phone")
