"""The columns of a read model: which of them may be null."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import JsonValue
from typing_extensions import TypeAliasType

from domain.amends.projection import Projection, Recorded
from domain.amends.read_model.columns import Column
from domain.banking.account import AccountOpened, accounts

Maybe = TypeAliasType("Maybe", str | None)
Surely = TypeAliasType("Surely", str)


@dataclass(frozen=True)
class Row:
    key: str
    free: JsonValue = None
    word: Literal["a", None] = None
    alias: Maybe = None
    marked: Annotated[Maybe, "as it is"] = None
    plain: str | None = None
    either: int | Annotated[Maybe, "as it is"] = None
    sure: Surely = ""
    number: int = 0
    items: tuple[JsonValue, ...] = ()


def evolve(row: Row | None, recorded: Recorded[AccountOpened]) -> Row | None:
    return Row(recorded.key)


def test_what_may_be_none_may_be_null_however_it_is_said() -> None:
    projection: Projection[Any, Any] = Projection("nulls_told", version=1, of=accounts, evolve=evolve, key="key")
    null = {column.name for column in projection.columns if column.nullable}
    assert null == {"free", "word", "alias", "marked", "plain", "either"}
    assert Column("plain", "text", True) in projection.columns
