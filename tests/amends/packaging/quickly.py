"""A plugin for pytest: it leaves out what needs a database or a process of its own, or lets time pass."""

from __future__ import annotations

import pytest

DATABASES = {"postgres_18", "postgres_15", "cluster", "database", "database_18", "sql"}
PROCESSES = {"subprocess", "make_cluster"}
SLEEPERS = ("test_hostile_code.py", "test_connections.py")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keep the others. All are collected, so that each file was imported."""
    left_out = [item for item in items if not _is_quick(item)]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in left_out]


def _is_quick(item: pytest.Item) -> bool:
    fixtures = set(getattr(item, "fixturenames", ()))
    names = set(vars(getattr(item, "module", item)))
    return not (DATABASES & fixtures or PROCESSES & names or item.path.name in SLEEPERS)
