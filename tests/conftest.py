"""Fixtures and markers of all tests, and what a failing test shows."""

from __future__ import annotations

import gc
import sys
from collections.abc import Generator

import pytest

from tests.amends.harness.fixtures import cluster, database, database_18, postgres_15, postgres_18, sql, sql_18
from tests.amends.harness.marking import MARKERS, mark

__all__ = ["cluster", "database", "database_18", "postgres_15", "postgres_18", "sql", "sql_18"]


def pytest_configure(config: pytest.Config) -> None:
    """Say which markers there are."""
    for name, meaning in MARKERS.items():
        config.addinivalue_line("markers", f"{name}: {meaning}")


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """What is imported and collected stays: the collector of garbage does not go through it, neither now nor later."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()
        gc.freeze()


def pytest_itemcollected(item: pytest.Item) -> None:
    """Mark what a test needs, before tests are chosen by it."""
    mark(item)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A test that fails shows what the servers that are still up have said."""
    report = yield
    servers = sys.modules.get("tests.amends.harness.server")
    if report.failed and servers is not None:
        said = [(f"the server on port {server.port} said", server.said) for server in servers.Server.open]
        report.sections += said
    return report
