"""What random histories have found stays mended."""

from __future__ import annotations

import pytest

from tests.amends.simulation.found import FOUND
from tests.amends.simulation.histories import play
from workflows.amends.simulation.cluster.server.store import memory_store


@pytest.mark.parametrize("what", FOUND)
def test_a_history_that_once_ended_wrongly_ends_well(what: str) -> None:
    assert play(FOUND[what], memory_store).problems == []
