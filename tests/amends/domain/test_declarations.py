"""Events and signals are frozen dataclasses, whether their team says so too or not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import FrozenInstanceError, dataclass
from typing import Any

import pytest

from domain.amends.errors import DefinitionError
from domain.amends.event import event
from workflows.amends.saga import signal

WAYS = [event("verdict-given"), signal("verdict")]


@pytest.mark.parametrize("declared", WAYS)
def test_a_class_that_is_a_frozen_dataclass_already_stays_one(declared: Callable[[Any], Any]) -> None:
    @dataclass(frozen=True)
    class Verdict:
        good: bool

    made = declared(Verdict)(True)
    assert made == Verdict(True)
    with pytest.raises(FrozenInstanceError):
        made.good = False


@pytest.mark.parametrize("declared", WAYS)
def test_a_dataclass_that_may_change_is_refused_with_what_to_do(declared: Callable[[Any], Any]) -> None:
    @dataclass
    class Verdict:
        good: bool

    with pytest.raises(DefinitionError, match=r"remove @dataclass from .*Verdict: it is made a frozen one by itself"):
        declared(Verdict)
