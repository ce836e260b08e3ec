"""An act on one saga, as a person or a bulk act wants it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from pydantic import JsonValue

ActName: TypeAlias = Literal["cancel", "retry", "skip", "resolve", "signal", "compensate", "resume"]


@dataclass(frozen=True)
class SagaAct:
    """What is to be done, and why; `result` is that of a step that is resolved, `payload` that of a `signal`."""

    name: ActName
    reason: str = ""
    result: JsonValue = None
    signal: str | None = None
    payload: JsonValue = None
