"""A start that is repeated after a deploy gets the answer that it got before."""

from __future__ import annotations

import pytest

from domain.amends.errors import Conflict
from domain.amends.event import Cause
from tests.amends.workflows.compatibility.recorded import deployed
from workflows.amends.client import SagaClient, StartAnswer
from workflows.amends.simulation.memory.sagas import MemorySagas

CODE = '''"""Ask for something."""

from __future__ import annotations

from dataclasses import dataclass

from workflows.amends.saga import Saga


@dataclass(frozen=True)
class Wish:
    what: str


class Ask(Saga[Wish, None], name="ask", version=1):
    async def run(self, request: Wish) -> None:
        pass
'''


async def started(store: MemorySagas, code: str, what: str = "a book") -> tuple[StartAnswer, bool]:
    """What a server with this code answers to a start with the key `k-1`."""
    (saga,) = deployed(code, "Ask")
    client = SagaClient([saga], store)
    return await client.start(client.start_request(saga, saga.definition.input(what), "k-1", Cause()))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("    what: str\n", "    what: str\n    why: str = ''\n"),
        ("version=1", "version=2"),
        ("    what: str\n", "    what: str\n    tags: tuple[str, ...] = ()\n"),
    ],
)
async def test_a_repeat_is_one_after_the_input_or_the_version_has_grown(before: str, after: str) -> None:
    store = MemorySagas()
    assert await started(store, CODE) == (StartAnswer("k-1", "ask", 1), True)
    newer = CODE.replace(before, after)
    assert await started(store, newer) == (StartAnswer("k-1", "ask", 1), False)
    with pytest.raises(Conflict, match="was used for another request"):
        await started(store, newer, "a lamp")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("    what: str\n", "    what: str\n    why: str = 'x'\n    _: int = 0\n"),
        ('name="ask"', 'name="beg"'),
        ("    what: str\n", "    thing: str\n"),
    ],
)
async def test_another_request_stays_another_one(before: str, after: str) -> None:
    store = MemorySagas()
    await started(store, CODE)
    with pytest.raises(Conflict, match="was used for another request"):
        await started(store, CODE.replace(before, after), "a lamp")
