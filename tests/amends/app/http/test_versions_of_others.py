"""A server that has no code for a version of a saga takes no signal for it, and does not say that there is none."""

from __future__ import annotations

import pytest

from app.amends.http.problems import error_response
from domain.amends.errors import Conflict, NotFound
from tests.amends.workflows.compatibility.recorded import ReleaseGoods
from workflows.amends.client import NoCodeHere, SagaClient
from workflows.amends.saga import Saga
from workflows.amends.simulation.memory.sagas import MemorySagas


class LendBook(Saga[str, str], name="lend-book", version=1, signals=(ReleaseGoods,)):
    """Lends a book."""

    async def run(self, request: str) -> str:
        return request


CLIENT = SagaClient([LendBook()], MemorySagas())


def test_a_signal_to_another_version_is_for_a_server_that_has_it() -> None:
    with pytest.raises(NoCodeHere, match="no code for lend-book version 2") as raised:
        CLIENT.signal_class("s-1", "lend-book", 2, "waiting", "release-goods")
    answer = error_response(raised.value)
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")


def test_a_finished_saga_takes_no_signal_whoever_has_its_code() -> None:
    with pytest.raises(Conflict, match="s-1 is completed"):
        CLIENT.signal_class("s-1", "lend-book", 2, "completed", "release-goods")


def test_a_signal_that_the_code_here_does_not_know_is_not_found() -> None:
    assert CLIENT.signal_class("s-1", "lend-book", 1, "waiting", "release-goods") is ReleaseGoods
    with pytest.raises(NotFound, match="takes: release-goods"):
        CLIENT.signal_class("s-1", "lend-book", 1, "waiting", "keep-goods")
