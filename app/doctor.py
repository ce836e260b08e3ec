"""What an operator looks at first: the server, the executors, the sagas that need somebody, and the read models."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from app.projections.builds import Builds
from app.projections.failures import short
from app.projections.reporting import report
from app.store.held_back import LONG_SECONDS, holder
from app.store.outages import awaiting, outages
from app.store.reader import Reader
from app.store.sql import statements

SQL = statements("doctor.sql")
NAMED = 3
"""How many of the keys that are set aside are named."""
LATE_SECONDS = 30.0
"""How far a read model may be behind before somebody should look."""


@dataclass(frozen=True)
class Finding:
    """`well` is False where somebody should look."""

    what: str
    well: bool
    found: str


async def examine(reader: Reader, builds: Builds) -> list[Finding]:
    """Everything that can be seen from the database alone."""
    return [
        await _server(reader),
        await _executors(reader),
        await _sagas(reader),
        await _feed(reader),
        await _providers(reader),
        *await _read_models(builds),
    ]


async def _server(reader: Reader) -> Finding:
    row = await reader.row(SQL["server"], ())
    assert row is not None
    safe = row["synchronous_commit"] == row["fsync"] == "on"
    return Finding(
        "database",
        safe,
        f"Postgres {row['version']}, fsync {row['fsync']}, synchronous_commit {row['synchronous_commit']}",
    )


async def _executors(reader: Reader) -> Finding:
    rows = await reader.rows(SQL["executors"], ())
    late = [row["id"] for row in rows if row["late"]]
    found = f"{len(rows) - len(late)} alive" + (f", without a heartbeat: {', '.join(late)}" if late else "")
    return Finding("executors", bool(rows) and not late, found if rows else "none: nothing runs until one is started")


async def _sagas(reader: Reader) -> Finding:
    rows = await reader.rows(SQL["sagas"], ())
    open_ = [row for row in rows if row["count"]]
    found = ", ".join(f"{row['count']} {row['status']}" for row in open_) or "none open"
    about = f"; about {rows[0]['about']:,} altogether" if rows[0]["about"] else ""
    return Finding("sagas", not any(row["needs_somebody"] for row in open_), found + about)


async def _feed(reader: Reader) -> Finding:
    found = await holder(reader)
    if found is None:
        return Finding("feed", True, "nothing holds it back")
    return Finding("feed", found.seconds < LONG_SECONDS, f"held back for {found.seconds:.0f} s by {found}")


async def _providers(reader: Reader) -> Finding:
    rows = await outages(reader)
    down = [
        f"{row['provider']} is down since {row['down_since']:%Y-%m-%d %H:%M:%S} ({row['error']}), "
        f"{row['waiting']} sagas wait for it"
        for row in rows
    ]
    named = {row["provider"] for row in rows}
    back = [
        f"{row['sagas']} sagas wait for {row['provider']} since {row['since']:%Y-%m-%d %H:%M:%S}"
        for row in await awaiting(reader)
        if row["provider"] not in named
    ]
    return Finding("providers", not down, "; ".join([*down, *back]) or "all answer, as far as anybody has asked")


async def _read_models(builds: Builds) -> list[Finding]:
    return [_read_model(found) for found in await report(builds)]


def _read_model(found: dict[str, Any]) -> Finding:
    """Whether a read model is followed, not long behind, and complete; so is its rebuild."""
    well = found["status"] in ("following", "catching up", "live") and found["lag_seconds"] < LATE_SECONDS
    told = [found["status"], f"{found['lag_events']} events and {found['lag_seconds']:.1f} s behind"]
    if found["status"] == "orphaned":
        told.append(f"its code is gone (./run amends projections drop {found['name']})")
    troubles = [found["failure"]] if found["failure"] else []
    if found["rebuild"] and found["rebuild"]["failure"]:
        troubles.append(f"build {found['rebuild']['build']} that is being filled: {found['rebuild']['failure']}")
    for build in found["builds"]:
        if build["set_aside"] and build["state"] != "retired":
            waiting = [each for each in found["set_aside_keys"] if each["build"] == build["build"]]
            troubles.append(f"{build['set_aside']} keys set aside in build {build['build']}: {_first(waiting)}")
    return Finding(f"read model {found['name']}", well and not troubles, "; ".join([", ".join(told), *troubles]))


def _first(waiting: list[dict[str, Any]]) -> str:
    """The first of the keys that are set aside, each with its event."""
    shown = [f"{short(each['key'])} ({each['type']} at position {each['position']})" for each in waiting[:NAMED]]
    return ", ".join(shown) + (", …" if len(waiting) > NAMED else "")
