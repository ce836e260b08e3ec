"""Arguments that are recorded by a digest are the same ones if they mean the same under today's types."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

import pytest

from app.amends.schema.shapes import arguments_shape
from workflows.amends.definition import DeclaredStep
from workflows.amends.engine.steps.recorded_arguments import mean_the_same
from workflows.amends.values.codec import copy_json, digest

HEAD = """
from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import Annotated, Literal, NamedTuple

from pydantic import AliasChoices, BaseModel, Field
from typing_extensions import NotRequired, TypedDict

from domain.amends.sensitive import PERSONAL, SECRET
from workflows.amends.saga import Call, Saga, step


"""
SAGA = """

class Buy(Saga[str, None], name="buy"):
    async def run(self, request: str) -> None:
        pass

    @step(compensation=None)
    async def charge(self, call: Call{parameters}) -> None:
        pass
"""
ORDER = "@dataclass(frozen=True)\nclass Order:\n    item: str\n    price: Decimal\n"
NOTED = f'{ORDER}    note: str = ""\n'
LINE = "@dataclass(frozen=True)\nclass Line:\n    sku: str\n"
MODEL = "class Order(BaseModel):\n    item: str\n"
CARD = 'class Card(BaseModel):\n    kind: Literal["card"] = "card"\n    number: str\n'
CASH = 'class Cash(BaseModel):\n    kind: Literal["cash"] = "cash"\n    number: str\n'
TREE = "@dataclass(frozen=True)\nclass Tree:\n    name: str\n    parts: list[Tree] = field(default_factory=list)\n"

Side = tuple[str, str, str]
"""Types, the parameters of a step, and the arguments that it is called with."""

SAME: dict[str, tuple[Side, Side]] = {
    "a field with a default more": (
        (ORDER, "order: Order", 'Order("lamp", Decimal("1.50"))'),
        (NOTED, "order: Order", 'Order("lamp", Decimal("1.50"))'),
    ),
    "a field with a made default more": (
        (ORDER, "order: Order", 'Order("lamp", Decimal(2))'),
        (f"{ORDER}    tags: list[str] = field(default_factory=list)\n", "order: Order", 'Order("lamp", Decimal(2))'),
    ),
    "fields in another order": (
        (ORDER, "order: Order", 'Order("lamp", Decimal(2))'),
        (
            "@dataclass(frozen=True)\nclass Order:\n    price: Decimal\n    item: str\n",
            "order: Order",
            'Order(Decimal(2), "lamp")',
        ),
    ),
    "a field renamed with an alias": (
        (MODEL, "order: Order", 'Order(item="lamp")'),
        (
            'class Order(BaseModel):\n    goods: str = Field(validation_alias="item")\n',
            "order: Order",
            'Order(item="lamp")',
        ),
    ),
    "a field renamed with several aliases, and one more": (
        (MODEL, "order: Order", 'Order(item="lamp")'),
        (
            'class Order(BaseModel):\n    goods: str = Field(validation_alias=AliasChoices("goods", "item"))\n'
            "    count: int = 1\n",
            "order: Order",
            'Order(item="lamp")',
        ),
    ),
    "a field of a dataclass renamed with an alias": (
        (ORDER, "order: Order", 'Order("lamp", Decimal(2))'),
        (
            "@dataclass(frozen=True)\nclass Order:\n"
            '    item: str\n    amount: Annotated[Decimal, Field(validation_alias="price")]\n',
            "order: Order",
            'Order("lamp", Decimal(2))',
        ),
    ),
    "a nested field more": (
        (f"{LINE}\n\nclass Order(BaseModel):\n    line: Line\n", "order: Order", 'Order(line=Line("a"))'),
        (
            f"{LINE}    count: int = 1\n\n\nclass Order(BaseModel):\n    line: Line\n",
            "order: Order",
            'Order(line=Line("a"))',
        ),
    ),
    "a field more in a list, in a dictionary, in both": (
        (
            LINE,
            "a: list[Line], b: dict[str, Line], c: dict[str, list[Line]]",
            '[Line("1")], {"x": Line("2")}, {"y": [Line("3")]}',
        ),
        (
            f"{LINE}    count: int = 1\n",
            "a: list[Line], b: dict[str, Line], c: dict[str, list[Line]]",
            '[Line("1")], {"x": Line("2")}, {"y": [Line("3")]}',
        ),
    ),
    "a field more in a tuple and in an optional one": (
        (LINE, "a: tuple[int, Line], b: Line | None, c: Line | None", '(1, Line("1")), Line("2"), None'),
        (
            f"{LINE}    count: int = 1\n",
            "a: tuple[int, Line], b: Line | None, c: Line | None",
            '(1, Line("1")), Line("2"), None',
        ),
    ),
    "a field more in one type of a union": (
        (f"{CARD}\n\n{CASH}", "by: Card | Cash", 'Cash(number="1")'),
        (f"{CARD}    network: str = 'x'\n\n\n{CASH}    note: str = ''\n", "by: Card | Cash", 'Cash(number="1")'),
    ),
    "a type more in a union": (
        (CARD, "by: Card", 'Card(number="1")'),
        (f"{CARD}    network: str = 'x'\n\n\n{CASH}", "by: Card | Cash", 'Card(number="1")'),
    ),
    "a field more in a type of itself": (
        (TREE, "tree: Tree", 'Tree("a", [Tree("b"), Tree("c", [Tree("d")])])'),
        (
            TREE.replace("    parts", "    weight: int = 0\n    parts"),
            "tree: Tree",
            'Tree("a", 0, [Tree("b"), Tree("c", 0, [Tree("d")])])',
        ),
    ),
    "a field of a named tuple more": (
        ("class Pair(NamedTuple):\n    a: int\n", "pair: Pair", "Pair(1)"),
        ("class Pair(NamedTuple):\n    a: int\n    b: int = 0\n", "pair: Pair", "Pair(1)"),
    ),
    "a marked field more": (
        (MODEL, "order: Order", 'Order(item="lamp")'),
        (f"{MODEL}    card: Annotated[str | None, SECRET] = None\n", "order: Order", 'Order(item="lamp")'),
    ),
    "a field more beside a marked one": (
        (f"{MODEL}    name: Annotated[str, PERSONAL]\n", "order: Order", 'Order(item="lamp", name="Anna")'),
        (
            f"{MODEL}    name: Annotated[str, PERSONAL]\n    note: str = ''\n",
            "order: Order",
            'Order(item="lamp", name="Anna")',
        ),
    ),
    "a key more in a dictionary with fields": (
        ("class Order(TypedDict):\n    item: str\n", "order: Order", '{"item": "lamp"}'),
        ("class Order(TypedDict):\n    item: str\n    note: NotRequired[str]\n", "order: Order", '{"item": "lamp"}'),
    ),
    "an optional parameter more": (("", "item: str", '"lamp"'), ("", 'item: str, note: str = ""', '"lamp", ""')),
    "a parameter renamed, and a field more": (
        (LINE, "line: Line, count: int", 'Line("a"), 1'),
        (f"{LINE}    note: str = ''\n", "goods: Line, count: int", 'Line("a"), 1'),
    ),
    "nothing given, and then something optional": (("", "", ""), ("", "note: str | None = None", "None")),
}

OTHER: dict[str, tuple[Side, Side]] = {
    "a field more that has not its default": (
        (ORDER, "order: Order", 'Order("lamp", Decimal(2))'),
        (NOTED, "order: Order", 'Order("lamp", Decimal(2), "red")'),
    ),
    "a field less that had a value": (
        (NOTED, "order: Order", 'Order("lamp", Decimal(2), "red")'),
        (ORDER, "order: Order", 'Order("lamp", Decimal(2))'),
    ),
    "a field less that had no default": (
        (ORDER, "order: Order", 'Order("lamp", Decimal(2))'),
        (MODEL, "order: Order", 'Order(item="lamp")'),
    ),
    "another value beside a field more": (
        (ORDER, "order: Order", 'Order("lamp", Decimal(2))'),
        (NOTED, "order: Order", 'Order("desk", Decimal(2))'),
    ),
    "another type, whose JSON differs": (
        ("", "count: int", "5"),
        ("", "count: str", '"5"'),
    ),
    "a whole number that becomes a Decimal": (
        (LINE + "    count: int = 5\n", "line: Line", 'Line("a")'),
        (LINE + "    count: Decimal = Decimal(5)\n", "line: Line", 'Line("a")'),
    ),
    "a field renamed without an alias": (
        (MODEL, "order: Order", 'Order(item="lamp")'),
        ("class Order(BaseModel):\n    goods: str\n", "order: Order", 'Order(goods="lamp")'),
    ),
    "a parameter more without a default": (("", "item: str", '"lamp"'), ("", "item: str, note: str", '"lamp", ""')),
    "an optional parameter more that has another value": (
        ("", "item: str", '"lamp"'),
        ("", 'item: str, note: str = ""', '"lamp", "red"'),
    ),
    "an optional parameter less that had a value": (
        ("", 'item: str, note: str = ""', '"lamp", "red"'),
        ("", "item: str", '"lamp"'),
    ),
    "an item more in a list": (
        (LINE, "lines: list[Line]", '[Line("1")]'),
        (f"{LINE}    count: int = 1\n", "lines: list[Line]", '[Line("1"), Line("2")]'),
    ),
    "an item of a list that has another value": (
        (LINE, "lines: list[Line]", '[Line("1"), Line("2")]'),
        (f"{LINE}    count: int = 1\n", "lines: list[Line]", '[Line("1"), Line("2", 2)]'),
    ),
    "another type of a union": (
        (f"{CARD}\n\n{CASH}", "by: Card | Cash", 'Cash(number="1")'),
        (f"{CARD}    network: str = 'x'\n\n\n{CASH}", "by: Card | Cash", 'Card(number="1")'),
    ),
    "a default that is another one each time": (
        (MODEL, "order: Order", 'Order(item="lamp")'),
        (
            f"import uuid\n\n\n{MODEL}    id: uuid.UUID = Field(default_factory=uuid.uuid4)\n",
            "order: Order",
            'Order(item="lamp")',
        ),
    ),
}


def side(of: Side) -> tuple[DeclaredStep, Any]:
    """A step as one state of the code declares it, and what it is called with, as plain data."""
    types, parameters, arguments = of
    module = sys.modules["deployed_types"] = ModuleType("deployed_types")
    source = HEAD + types + SAGA.format(parameters=parameters and f", {parameters}")
    exec(compile(source, "deployed_types", "exec"), module.__dict__)
    declared: DeclaredStep = module.Buy.definition.step("charge")
    given = eval(f"({arguments},)" if arguments else "()", module.__dict__)
    return declared, copy_json(declared.dump_arguments(given))


ALIKE = ("fields in another order", "a key more in a dictionary with fields")
"""Changes that change no digest."""


@pytest.mark.parametrize("change", SAME)
def test_what_means_the_same_is_the_same(change: str) -> None:
    (was, recorded), (declared, given) = map(side, SAME[change])
    assert digest(recorded) != digest(given) or change in ALIKE
    assert mean_the_same(given, declared, digest(recorded), [arguments_shape(declared), arguments_shape(was)])


@pytest.mark.parametrize("change", OTHER)
def test_what_means_something_else_is_not(change: str) -> None:
    (was, recorded), (declared, given) = map(side, OTHER[change])
    assert digest(recorded) != digest(given)
    assert not mean_the_same(given, declared, digest(recorded), [arguments_shape(declared), arguments_shape(was)])


def test_without_the_shape_that_it_was_recorded_in_nothing_is_the_same() -> None:
    (_, recorded), (declared, given) = map(side, SAME["a field with a default more"])
    assert not mean_the_same(given, declared, digest(recorded), [arguments_shape(declared)])
