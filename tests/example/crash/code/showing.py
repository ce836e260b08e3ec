"""A server with a saga that tells, before it waits and after that, what it sees of its values."""

from __future__ import annotations

from dataclasses import dataclass

from tests.amends.harness.values import Values
from tests.example.serving import serve_with
from workflows.amends.saga import Call, Saga, signal, step


@signal("showing-told")
class ShowingTold:
    values: Values


@dataclass(frozen=True)
class Seen:
    """What stood in `run`, written out: before it waited, and in the life that ended it."""

    before: tuple[str, ...]
    after: tuple[str, ...]


@dataclass(frozen=True)
class Showing(Saga[Values, Seen], name="showing", signals=[ShowingTold]):
    async def run(self, request: Values) -> Seen:
        given = await self.give(request)
        before = await self.show((repr(request), repr(given)))
        told = await self.receive(ShowingTold)
        assert told is not None
        said = await self.give(told.values)
        await self.show((repr(said), repr(told.values)))
        return Seen((*before, repr(said)), (repr(request), repr(given), repr(told.values)))

    @step(compensation=None)
    async def give(self, call: Call, values: Values) -> Values:
        return values

    @step(compensation=None)
    async def show(self, call: Call, shown: tuple[str, ...]) -> tuple[str, ...]:
        return shown


if __name__ == "__main__":
    serve_with(Showing())
