"""The names that a row's fields may have."""

from __future__ import annotations

from dataclasses import make_dataclass
from typing import Any

import pytest

from domain.amends.errors import DefinitionError
from domain.amends.projection import Projection, Recorded
from domain.amends.read_model.columns import SYSTEM
from domain.banking import AccountOpened, accounts


@pytest.mark.parametrize("name", SYSTEM)
def test_a_column_of_postgres_itself_is_no_field(name: str) -> None:
    row: Any = make_dataclass("Row", [("id", str), (name, int)], frozen=True)

    def evolve(row: Any, recorded: Any) -> Any:
        return row

    evolve.__annotations__ = {"row": row | None, "recorded": Recorded[AccountOpened], "return": row | None}
    with pytest.raises(DefinitionError, match="every table of Postgres has one"):
        Projection("odd_names", version=1, of=accounts, evolve=evolve, key="id")
