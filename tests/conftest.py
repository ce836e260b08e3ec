"""Fixtures of all tests, and what a failing test shows."""

from __future__ import annotations

from collections.abc import Generator

import pytest

from tests.amends.harness.databases import cluster, database, database_18, postgres_15, postgres_18, sql
from tests.amends.harness.server import Server

__all__ = ["cluster", "database", "database_18", "postgres_15", "postgres_18", "sql"]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A test that fails shows what the servers that are still up have said."""
    report = yield
    if report.failed:
        report.sections += [(f"the server on port {server.port} said", server.said) for server in Server.open]
    return report
