"""The shapes that the arguments of steps have had, for whoever compares a call with what is recorded of it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Protocol

from workflows.amends.definition import Definition
from workflows.amends.redaction.shapes import Shape, shape_of


class ArgumentShapes(Protocol):
    """Finds shapes by the saga's type, `name:version`, and the name of the step."""

    async def __call__(self, saga_type: str, step: str) -> Sequence[Shape]:
        """All that are known, of any version of the saga; those of the code at hand included."""
        ...


async def no_shapes(saga_type: str, step: str) -> Sequence[Shape]:
    """No shape is known: a call is compared as it is."""
    return ()


class NotedShapes:
    """The shapes of the definitions that were noted here, as servers note theirs in the database."""

    def __init__(self) -> None:
        self._shapes: defaultdict[tuple[str, str], list[Shape]] = defaultdict(list)

    def note(self, definition: Definition) -> None:
        """Note what the arguments of a saga's steps look like."""
        for name, declared in definition.steps.items():
            known, shape = self._shapes[definition.name, name], shape_of(declared.arguments_type)
            if shape not in known:
                known.append(shape)

    async def __call__(self, saga_type: str, step: str) -> Sequence[Shape]:
        return self._shapes[saga_type.partition(":")[0], step]
