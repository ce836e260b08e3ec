"""What a saga was told, and what persons say for it, is masked like everything else."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import uuid4

from app.catalogue import catalogue
from app.masks import Masks
from domain.sensitive import PERSONAL
from workflows.events import StoredEvent
from workflows.saga import Saga, signal


@signal("answer")
class Answer:
    by: Annotated[str, PERSONAL]
    yes: bool


@dataclass(frozen=True)
class Result:
    name: Annotated[str, PERSONAL]


@dataclass(frozen=True)
class Asking(Saga[str, Result], name="asking", signals=(Answer,)):
    async def run(self, request: str) -> Result:
        return Result(request)


MASKS = Masks(catalogue(), [Asking.definition])


def shown(name: str, data: Any) -> Any:
    stored = StoredEvent(1, 1, 1, uuid4(), "saga-x", 1, name, 1, json.dumps(data), "{}", datetime.now(UTC))
    return MASKS.event(stored)


def test_signals_are_masked() -> None:
    told = {"signal": "answer", "payload": {"by": "Ann Private", "yes": True}}
    assert shown("signal-received", told)["payload"] == {"by": "***", "yes": True}


def test_what_a_person_says_a_saga_came_to_is_masked() -> None:
    acted = {"act": "resolve", "reason": "by hand", "slot": 3, "step": None, "result": {"name": "Ann Private"}}
    assert shown("operator-acted", acted)["result"] == {"name": "***"}
