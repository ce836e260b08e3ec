"""The cluster of the scenarios, which of them are played, and the table at the end."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.example.soak.patroni.cluster.cluster import Cluster, cluster
from tests.example.soak.patroni.cluster.programs import missing
from tests.example.soak.patroni.playing import Outcome
from tests.example.soak.patroni.scenarios import SCENARIOS
from tests.example.soak.patroni.table import table

OUTCOMES = pytest.StashKey[list[Outcome]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--only", help="names of scenarios of ./run soak patroni, with commas between them")
    parser.addoption("--logs", type=Path, help="a folder for what the servers and the nodes of ./run soak patroni said")


def pytest_configure(config: pytest.Config) -> None:
    config.stash[OUTCOMES] = []
    known = {scenario.name for scenario in SCENARIOS}
    if unknown := set((config.getoption("--only", None) or "").split(",")) - known - {""}:
        raise pytest.UsageError(
            f"There is no scenario {', '.join(sorted(unknown))}; there are {', '.join(sorted(known))}."
        )


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "scenario" in metafunc.fixturenames:
        only = (metafunc.config.getoption("--only", None) or "").split(",")
        chosen = [each for each in SCENARIOS if only == [""] or each.name in only]
        metafunc.parametrize("scenario", chosen, ids=lambda each: each.name)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if outcomes := terminalreporter.config.stash[OUTCOMES]:
        terminalreporter.section("with Patroni")
        terminalreporter.write_line(table(outcomes))


@pytest.fixture(scope="session")
def outcomes(request: pytest.FixtureRequest) -> list[Outcome]:
    return request.config.stash[OUTCOMES]


@pytest.fixture
def logs(request: pytest.FixtureRequest) -> Path | None:
    folder: Path | None = request.config.getoption("--logs", None)
    return folder


@pytest.fixture(scope="session")
def patroni() -> Iterator[Cluster]:
    if said := missing():
        pytest.skip(said)
    with cluster() as made:
        yield made
