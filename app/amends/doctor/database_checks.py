"""The checks of a database: the server, the schema, the executors, the sagas, the feed and the read models."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from app.amends.doctor.findings import Check, CheckContext, Finding
from app.amends.postgres.checks.durability import clock_doubt, read_durability
from app.amends.postgres.sql_files import load_statements
from app.amends.projections.reporting import read_model_report
from app.amends.store.brakes import brakes_in_force
from app.amends.store.feed import SQL as FEED
from app.amends.store.feed.lag import blocking_transaction
from app.amends.store.outages import provider_outages, waiting_sagas
from workflows.amends.projections.failures import short_key

SQL = load_statements(Path(__file__).with_name("doctor.sql"))
NAMED = 3
"""The most keys that are set aside that are named."""
LATE_SECONDS = 30.0
"""The lag of a read model from which on an operator should look."""
GRANT = "grant amends_service to {login}; ./run up gives that role its rights"
NEWER = "run that version"
MIGRATE = "./run up migrates the database, with AMENDS_MIGRATION_URL as its owner"


async def _server(looking: CheckContext) -> list[Finding]:
    row, doubts, _ = await read_durability(looking.reader)
    text = f"Postgres {row['version']}, fsync {row['fsync']}, synchronous_commit {row['synchronous_commit']}"
    if row["standby"]:
        doubts.append("It is a standby: what is seen here may be late.")
    elif row["read_only"]:
        doubts.append("Its sessions are read-only (default_transaction_read_only).")
    return [Finding("database", not doubts, "; ".join([text, *doubts]))]


async def _rights(looking: CheckContext) -> list[Finding]:
    (row,) = await looking.reader.rows(SQL["rights"], ())
    denied = [f"amends.{table}" for table, may in looking.readable.items() if not may]
    how = "takes the role amends_service" if row["service"] else "has rights of its own"
    migrates = "and may migrate" if row["may_create"] else "and somebody else migrates"
    if denied:
        text = f"{looking.login} may not read {', '.join(denied)}"
        return [Finding("rights", False, text, GRANT.format(login=looking.login))]
    return [Finding("rights", True, f"{looking.login} {how}, {migrates}")]


async def _clock(looking: CheckContext) -> list[Finding]:
    _, _, apart = await read_durability(looking.reader)
    doubt = clock_doubt(apart)
    found = doubt or f"{abs(apart):.1f} s from the database's"
    return [Finding("clock", not doubt, found, "let both machines follow the same time server", failure=False)]


async def _dbos(looking: CheckContext) -> list[Finding]:
    (row,) = await looking.reader.rows(SQL["dbos"], ())
    at, known = row["version"], looking.migrations.dbos
    text = f"at {at}, and this code knows {known}"
    fix = "run the version of Amends that migrated it" if at > known else MIGRATE
    return [Finding("schema of DBOS", at == known or not known, text, fix)]


async def _schema(looking: CheckContext) -> list[Finding]:
    rows = await looking.reader.rows(SQL["revision"], ())
    found, newest = {row["revision"] for row in rows}, looking.migrations.newest_revisions()
    at, known = ", ".join(sorted(found)) or "nothing", ", ".join(sorted(newest))
    if found == newest:
        return [Finding("schema", True, f"at {at}, as this code knows it")]
    if found <= looking.migrations.all_revisions():
        return [Finding("schema", False, f"at {at}, and this code knows {known}", MIGRATE)]
    oldest = {row["revision"]: row["oldest"] for row in await looking.reader.rows(SQL["oldest_servers"], ())}
    if looking.migrations.can_serve({revision: oldest.get(revision) for revision in found}):
        return [Finding("schema", True, f"at {at}, of a newer version, which this code ({known}) can work with")]
    return [Finding("schema", False, f"at {at}, of a newer version of Amends: this code knows {known}", NEWER)]


async def _executors(looking: CheckContext) -> list[Finding]:
    rows = await looking.reader.rows(SQL["executors"], ())
    late = [row["id"] for row in rows if row["late"]]
    found = f"{len(rows) - len(late)} alive" + (f", without a heartbeat: {', '.join(late)}" if late else "")
    text = found if rows else "none: nothing runs until one is started"
    fix = "others take over from those within seconds" if late else "./run up"
    return [Finding("executors", bool(rows) and not late, text, fix, failure=bool(late))]


async def _sagas(looking: CheckContext) -> list[Finding]:
    rows = await looking.reader.rows(SQL["sagas"], ())
    open_ = [row for row in rows if row["count"]]
    found = ", ".join(f"{row['count']} {row['status']}" for row in open_) or "none open"
    about = f"; about {rows[0]['about']:,} altogether" if rows[0]["about"] else ""
    waiting = [row["status"] for row in open_ if row["needs_somebody"]]
    fix = f"./run amends workflows list --status {waiting[0]}" if waiting else ""
    return [Finding("sagas", not waiting, found + about, fix)]


async def _feed(looking: CheckContext) -> list[Finding]:
    found = await blocking_transaction(looking.reader)
    if found is None:
        return [Finding("feed", True, "nothing holds it back")]
    text = f"held back for {found.seconds:.0f} s by {found}" if found.seconds is not None else f"held back by {found}"
    if found.seconds is None:
        text += " (since when may not be seen: grant pg_read_all_stats to amends_service)"
    return [Finding("feed", not found.is_long, text + (f"; {found.remedy}" if found.is_long else ""))]


async def _history(looking: CheckContext) -> list[Finding]:
    rows = await looking.reader.rows(FEED["losses"], (NAMED + 1,))
    if not rows:
        return [Finding("history", True, "nothing that was committed is known to be gone")]
    text = [
        f"at {row['noticed_at']:%Y-%m-%d %H:%M:%S} at least {row['events']} events were gone that came after "
        f"{row['stands']}, from {row['first']} to {row['last']} ({row['noticed_by']})"
        for row in rows[:NAMED]
    ]
    return [Finding("history", not rows[0]["recent"], "; ".join(text) + ("; …" if len(rows) > NAMED else ""))]


async def _providers(looking: CheckContext) -> list[Finding]:
    rows = await provider_outages(looking.reader)
    down = [
        f"{row['provider']} is down since {row['down_since']:%Y-%m-%d %H:%M:%S} ({row['error']}), "
        f"{row['waiting']} sagas wait for it"
        for row in rows
    ]
    named = {row["provider"] for row in rows}
    back = [
        f"{row['sagas']} sagas wait for {row['provider']} since {row['since']:%Y-%m-%d %H:%M:%S}"
        for row in await waiting_sagas(looking.reader)
        if row["provider"] not in named
    ]
    text = "; ".join([*down, *back]) or "all answer, as far as anybody has asked"
    return [Finding("providers", not down, text, "look at the provider: its sagas go on by themselves once it answers")]


async def _brakes(looking: CheckContext) -> list[Finding]:
    found = await brakes_in_force(looking.reader)
    told = [
        f"{each.brake.id} holds {each.brake.scope} since {each.brake.set_at:%Y-%m-%d %H:%M:%S} "
        f"({each.brake.actor}: {each.brake.reason}), {each.waiting}{'+' if each.more else ''} sagas wait at it"
        for each in found
    ]
    lift = f"./run amends brake lift {found[0].brake.id} --reason …" if found else ""
    return [Finding("brakes", not found, "; ".join(told) or "none is set", lift, failure=False)]


async def _read_models(looking: CheckContext) -> list[Finding]:
    return [_read_model(found) for found in await read_model_report(looking.builds)]


def _read_model(found: dict[str, Any]) -> Finding:
    """The finding about a read model: whether it is followed, up to date, and complete, and so is its rebuild."""
    well = found["status"] in ("following", "catching up", "live") and found["lag_seconds"] < LATE_SECONDS
    text = [found["status"], f"{found['lag_events']} events and {found['lag_seconds']:.1f} s behind"]
    if found["status"] == "orphaned":
        text.append(f"its code is gone (./run amends projections drop {found['name']})")
    troubles = [found["failure"]] if found["failure"] else []
    if found["rebuild"] and found["rebuild"]["failure"]:
        troubles.append(f"build {found['rebuild']['build']} that is being filled: {found['rebuild']['failure']}")
    for build in found["builds"]:
        if build["set_aside"] and build["state"] != "retired":
            waiting = [each for each in found["set_aside_keys"] if each["build"] == build["build"]]
            troubles.append(f"{build['set_aside']} keys set aside in build {build['build']}: {_first(waiting)}")
    idle, fix = found["status"] == "idle" and not troubles, f"./run amends projections list {found['name']}"
    return Finding(
        f"read model {found['name']}",
        well and not troubles,
        "; ".join([", ".join(text), *troubles]),
        "./run up: a server follows it" if idle else fix,
        failure=not idle,
    )


def _first(waiting: list[dict[str, Any]]) -> str:
    """The first of the keys that are set aside, each with its event."""
    shown = [f"{short_key(each['key'])} ({each['type']} at position {each['position']})" for each in waiting[:NAMED]]
    return ", ".join(shown) + (", …" if len(waiting) > NAMED else "")


CHECKS = (
    Check("database", _server),
    Check("clock", _clock),
    Check("rights", _rights),
    Check("schema", _schema, ("alembic_version",)),
    Check("schema of DBOS", _dbos, ("alembic_version",)),
    Check("executors", _executors, ("executors",)),
    Check("sagas", _sagas, ("sagas",)),
    Check("feed", _feed),
    Check("history", _history, ("losses",)),
    Check("providers", _providers, ("outages", "sagas")),
    Check("brakes", _brakes, ("brakes", "sagas")),
    Check("read models", _read_models, ("builds", "set_aside", "events")),
)
