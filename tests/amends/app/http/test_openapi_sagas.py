"""The document names each saga and each signal, with a body of its own and an example that is taken."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Annotated, Any

import pytest
from fastapi import APIRouter
from pydantic import Field

from app.amends.http.api import build_api
from app.amends.http.openapi.responses import responds
from app.amends.http.openapi.sagas import example_of
from app.amends.http.requests.bodies import ANY_BODY
from domain.amends.errors import Invalid
from domain.amends.sender import SENDER
from workflows.amends.saga import Saga, signal
from workflows.amends.values.codec import load_input


def renting() -> Any:
    @dataclass(frozen=True)
    class Request:
        """A request whose class has the name of another saga's."""

        car: Annotated[str, Field(examples=["van"])]
        days: Annotated[int, Field(ge=3)]

    return Request


@dataclass(frozen=True)
class Money:
    amount: Decimal
    currency: Annotated[str, Field(pattern="^[A-Z]{3}$")]


@dataclass(frozen=True)
class Request:
    due: date
    price: Money
    label: str

    def __post_init__(self) -> None:
        if len(self.label) < 8:
            raise Invalid("label", "has eight letters at least")


Other: Any = renting()


@signal("approval")
class Approval:
    approved: bool
    by: Annotated[str, SENDER]


@signal("approval")
class Consent:
    text: str


class Pay(Saga[Request, None], name="pay", version=2, signals=[Approval]):
    """Pay for something."""

    async def run(self, request: Request) -> None: ...


class OldPay(Saga[str, None], name="pay", signals=[Consent]):
    async def run(self, request: str) -> None: ...


@dataclass(frozen=True)
class Rent(Saga[Other, None], name="rent"):
    async def run(self, request: Other) -> None: ...


class Count(Saga[int, None], name="count"):
    async def run(self, request: int) -> None: ...


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    router = APIRouter(prefix="/workflows", tags=["workflows"])

    @router.post("/{name}", status_code=202, openapi_extra=ANY_BODY)
    @responds(dict[str, str])
    async def start(name: str) -> None:
        """Start a saga."""

    @router.post("/{id}/signals/{signal}", status_code=202, openapi_extra=ANY_BODY)
    @responds(dict[str, str])
    async def send(id: str, signal: str) -> None:
        """Send a signal."""

    return build_api([router], sagas=[Pay(), OldPay(), Rent(), Count()]).openapi()


def refs(schema: Any) -> Iterator[str]:
    """What a part of the document refers to."""
    parts = schema.values() if isinstance(schema, dict) else schema if isinstance(schema, list) else ()
    if isinstance(schema, dict) and "$ref" in schema:
        yield schema["$ref"]
    for each in parts:
        yield from refs(each)


def body(document: dict[str, Any], path: str) -> dict[str, Any]:
    found: dict[str, Any] = document["paths"][path]["post"]["requestBody"]["content"]["application/json"]
    return found


def test_each_saga_has_an_operation_with_its_input(document: dict[str, Any]) -> None:
    assert {"/workflows/pay", "/workflows/rent", "/workflows/count", "/workflows/{name}"} <= set(document["paths"])
    operation = document["paths"]["/workflows/pay"]["post"]
    assert (operation["operationId"], operation["summary"], operation["tags"]) == ("start_pay", "Start pay", ["pay"])
    assert operation["description"] == "Pay for something.\n\nStart a saga."
    assert "name" not in {each["name"] for each in operation["parameters"]}
    assert body(document, "/workflows/count")["schema"] == {"type": "integer"}
    schemas = document["components"]["schemas"]
    names = {
        path: body(document, path)["schema"]["$ref"].rpartition("/")[2]
        for path in ("/workflows/pay", "/workflows/rent")
    }
    assert set(schemas[names["/workflows/pay"]]["properties"]) == {"due", "price", "label"}
    assert set(schemas[names["/workflows/rent"]]["properties"]) == {"car", "days"}, "classes of one name are two"


def test_everything_that_is_referred_to_is_there(document: dict[str, Any]) -> None:
    for ref in refs(document):
        part: Any = document
        for name in ref.removeprefix("#/").split("/"):
            part = part[name]


def test_a_saga_without_a_docstring_is_described_by_its_file(document: dict[str, Any]) -> None:
    tags = {each["name"]: each["description"] for each in document["tags"]}
    assert tags["pay"] == "Pay for something."
    assert tags["rent"].startswith("The document names each saga")


def test_a_signal_has_the_payload_of_each_saga_that_takes_it(document: dict[str, Any]) -> None:
    sent = document["paths"]["/workflows/{id}/signals/approval"]["post"]
    assert [each["name"] for each in sent["parameters"] if each["in"] == "path"] == ["id"]
    assert (sent["summary"], sent["tags"]) == ("Send approval", ["pay"])
    schema = body(document, "/workflows/{id}/signals/approval")["schema"]
    assert [each["$ref"].rpartition("/")[2] for each in schema["anyOf"]] == ["Approval", "Consent"]
    assert document["components"]["schemas"]["Approval"]["required"] == ["approved"], "who sends it is filled in"


@pytest.mark.parametrize("path", ["pay", "rent", "count"])
def test_an_example_is_taken(document: dict[str, Any], path: str) -> None:
    types: dict[str, Any] = {"pay": Request, "rent": Other, "count": int}
    load_input(body(document, f"/workflows/{path}")["example"], types[path])


def test_an_example_of_a_field_is_the_declared_one(document: dict[str, Any]) -> None:
    assert body(document, "/workflows/rent")["example"] == {"car": "van", "days": 10}
    assert body(document, "/workflows/{id}/signals/approval")["example"] == {"approved": True}


def test_what_no_value_is_found_for_has_no_example() -> None:
    assert example_of(Annotated[int, Field(ge=5, le=3)]) is None
