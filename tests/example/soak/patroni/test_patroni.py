"""On a cluster of Patroni, whatever happens to it: sagas end as they should, and what is lost is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.amends.postgres.embedded.server import EmbeddedPostgres
from app.amends.postgres.urls import conninfo
from tests.amends.harness.databases import fresh_database
from tests.example.server import Server
from tests.example.soak.patroni.cluster.cluster import Cluster
from tests.example.soak.patroni.playing import Outcome, Play
from tests.example.soak.patroni.scenarios import Scenario


@pytest.mark.soak
@pytest.mark.timeout(900)
def test_with_patroni(
    patroni: Cluster,
    scenario: Scenario,
    postgres_18: EmbeddedPostgres,
    outcomes: list[Outcome],
    logs: Path | None,
    capsys: pytest.CaptureFixture[str],
) -> None:
    if scenario.cuts and not patroni.network.can_cut:
        pytest.skip("A partition needs network namespaces: root, and the programs ip and nsenter.")

    def say(what: str) -> None:
        with capsys.disabled():
            print(what, flush=True)

    books = fresh_database(postgres_18)
    with Server(books) as provider:
        play = Play(patroni, scenario, provider.start(), conninfo(books), say, logs)
        outcomes.append(play.outcome)
        play.run()
    assert play.outcome.wrong == []
