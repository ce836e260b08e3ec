"""What a test needs, as markers, so that tests are chosen by it; nobody writes them at a test but `slow` and `soak`."""

from __future__ import annotations

import pytest

MARKERS = {
    "code": "checks of the code itself: format, lint, types, imports",
    "postgres": "needs a Postgres",
    "processes": "starts servers, commands or other programs, or plays many clusters of them",
    "slow": "takes several seconds",
    "soak": "long fault tests, run by ./run soak",
}
CLUSTERS = {"postgres_18", "postgres_15", "database", "cluster"}
"""Fixtures by which a test has a Postgres."""
MAKERS = {"find_binaries", "make_cluster", "fresh_database", "losing_cluster"}
"""What modules have imported whose tests make one for themselves."""
PROGRAMS = {"Server", "amends", "ended", "subprocess"}
"""What modules have imported whose tests start programs."""
SLOW = {"crash", "docs", "packaging"}
"""Folders all of whose tests take their time."""


def mark(item: pytest.Item) -> None:
    """Mark a test with what it needs."""
    fixtures: set[str] = set(getattr(item, "fixturenames", ()))
    imported = vars(getattr(item, "module", None) or item).keys()
    folders = set(item.path.parts)
    found = {
        "code": "code" in folders,
        "postgres": CLUSTERS & fixtures or MAKERS & imported,
        "processes": PROGRAMS & imported or ("simulation" in folders and item.get_closest_marker("slow")),
        "slow": SLOW & folders,
    }
    for name, it_is in found.items():
        if it_is:
            item.add_marker(name)
