"""The doctor: checks of the server, the executors, the sagas and the read models, for operators."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from sqlalchemy import URL

from app.amends.postgres.checks.durability import read_durability
from app.amends.postgres.checks.server_usability import require_usable_quietly, require_usable_server
from app.amends.postgres.connections.pool import Pool, connect
from app.amends.postgres.migrate import Migrations
from app.amends.postgres.roles import as_service
from app.amends.postgres.sql_files import load_statements
from app.amends.postgres.sqlstates import Sqlstate, message_of, sqlstate
from app.amends.postgres.statements.committer import Committer, Parameters
from app.amends.postgres.statements.reader import Reader
from app.amends.projections.postgres_projections import PostgresProjections
from app.amends.projections.reporting import read_model_report
from app.amends.store.feed import SQL as FEED
from app.amends.store.feed.lag import blocking_transaction
from app.amends.store.outages import provider_outages, waiting_sagas
from domain.amends.errors import StartupError
from workflows.amends.ports.projection_builds import KnownProjections
from workflows.amends.projections.builds import ProjectionBuilds
from workflows.amends.projections.failures import short_key

SQL = load_statements(Path(__file__).with_name("doctor.sql"))
NAMED = 3
"""The most keys that are set aside that are named."""
LATE_SECONDS = 30.0
"""The lag of a read model from which on an operator should look."""
OPEN_SECONDS = 10.0
"""How long a connection is waited for; each of several hosts has a part of it."""

PATIENCE = 2.0
"""How long a read is tried again."""


@dataclass(frozen=True)
class Finding:
    """The finding of a check; `well` is False where an operator should look."""

    what: str
    well: bool
    found: str


@dataclass(frozen=True)
class Check:
    """A check, and the tables that it reads."""

    what: str
    look: Callable[[CheckContext], Awaitable[list[Finding]]]
    tables: tuple[str, ...] = ()


@dataclass(frozen=True)
class CheckContext:
    """The means of a check. `login` is its database user, and `readable` the tables, and whether they may be read."""

    reader: Reader
    builds: ProjectionBuilds
    login: str
    readable: Mapping[str, bool]
    migrations: Migrations


class ImpatientReader(Reader):
    """Reads of a database that may be out of order: an error that does not pass soon is a finding."""

    async def rows(
        self, statement: str, parameters: Parameters, patience: float | None = PATIENCE, anew: bool = False
    ) -> list[dict[str, Any]]:
        return await super().rows(statement, parameters, min(patience or PATIENCE, PATIENCE), anew)


async def run_checks(url: URL, known: KnownProjections, migrations: Migrations) -> list[Finding]:
    """All findings about a database. A check that cannot be made says why; nothing is raised."""
    refusal = await asyncio.to_thread(_refusal, require_usable_server, url)
    try:
        service, readable = await asyncio.wait_for(_entered(url), OPEN_SECONDS)
    except (psycopg.Error, OSError, TimeoutError) as error:
        found = refusal or f"does not let us in: {message_of(error)}"
        return [Finding("database", False, found), *(Finding(each.what, False, NOT_LET_IN) for each in CHECKS[1:])]
    if "target_session_attrs" not in service.query:
        service = service.update_query_dict({"target_session_attrs": "any"})  # a standby can be looked at too
    refusal = refusal or await asyncio.to_thread(_refusal, require_usable_quietly, service)
    # Nothing is prepared: a pooler that keeps no sessions would answer one statement with another.
    async with Pool(service, len(CHECKS), "doctor", prepare=None) as readers:
        reader = ImpatientReader(readers)
        builds = ProjectionBuilds(known, PostgresProjections(Committer(service, 1), reader))
        looking = CheckContext(
            reader,
            builds,
            str(url.username or "its login"),
            readable,
            migrations,
        )
        found_by_all = await asyncio.gather(*(_made(check, looking) for check in CHECKS))
    refused = [Finding("database", False, refusal)] if refusal else []
    return [*refused, *(finding for found in found_by_all for finding in found)]


def _refusal(require: Callable[[URL], object], url: URL) -> str | None:
    """The reason why no server would start on this database, in one line."""
    try:
        require(url)
    except StartupError as no:
        return " ".join(str(no).split())
    return None


async def _entered(url: URL) -> tuple[URL, dict[str, bool]]:
    """The URL, with the role of the service if the login may take it, and which tables may be read then.

    Raises psycopg.Error.
    """
    async with await connect(url, "doctor") as connection:
        row = await (await connection.execute(SQL["may_serve"])).fetchone()
        if row is not None and row[0]:
            url = as_service(url)
            await connection.execute("set role amends_service")
        tables = await (await connection.execute(SQL["readable"])).fetchall()
    return url, dict(tables)


async def _made(check: Check, looking: CheckContext) -> list[Finding]:
    """The findings of a check, or why it could not be made."""
    missing = [table for table in check.tables if table not in looking.readable]
    denied = [f"amends.{table}" for table in check.tables if not looking.readable.get(table, True)]
    if missing:
        return [
            Finding(check.what, False, f"not looked at: there is no amends.{', amends.'.join(missing)} ({MIGRATE})")
        ]
    if denied:
        grant = GRANT.format(login=looking.login)
        return [
            Finding(check.what, False, f"not looked at: {looking.login} may not read {', '.join(denied)} ({grant})")
        ]
    try:
        return await check.look(looking)
    except Exception as error:  # whatever it is: the other checks go on
        cause = error if isinstance(error, psycopg.Error) else error.__cause__ or error
        return [Finding(check.what, False, f"not looked at: {message_of(cause)}{_remedy(cause, looking.login)}")]


def _remedy(error: BaseException, login: str) -> str:
    if sqlstate(error) == Sqlstate.INSUFFICIENT_PRIVILEGE:
        return f" ({GRANT.format(login=login)})"
    if sqlstate(error) in LACKING:
        return f" ({MIGRATE})"
    return ""


NOT_LET_IN = "not looked at: the database does not let us in"
MIGRATE = "./run up migrates the database, with AMENDS_MIGRATION_URL as its owner"
GRANT = "grant amends_service to {login}; ./run up gives that role its rights"
LACKING = (
    Sqlstate.UNDEFINED_TABLE,
    Sqlstate.UNDEFINED_COLUMN,
    Sqlstate.UNDEFINED_FUNCTION,
    Sqlstate.UNDEFINED_OBJECT,
    Sqlstate.INVALID_SCHEMA_NAME,
)


async def _server(looking: CheckContext) -> list[Finding]:
    row, doubts = await read_durability(looking.reader)
    text = f"Postgres {row['version']}, fsync {row['fsync']}, synchronous_commit {row['synchronous_commit']}"
    if row["standby"]:
        doubts.append("It is a standby: what is seen here may be late.")
    elif row["read_only"]:
        doubts.append("Its sessions are read-only (default_transaction_read_only).")
    return [Finding("database", not doubts, "; ".join([text, *doubts]))]


async def _schema(looking: CheckContext) -> list[Finding]:
    rows = await looking.reader.rows(SQL["revision"], ())
    found, newest = {row["revision"] for row in rows}, looking.migrations.newest_revisions()
    at, known = ", ".join(sorted(found)) or "nothing", ", ".join(sorted(newest))
    if found == newest:
        return [Finding("schema", True, f"at {at}, as this code knows it")]
    if found <= looking.migrations.all_revisions():
        return [Finding("schema", False, f"at {at}, and this code knows {known} ({MIGRATE})")]
    oldest = {row["revision"]: row["oldest"] for row in await looking.reader.rows(SQL["oldest_servers"], ())}
    if looking.migrations.can_serve({revision: oldest.get(revision) for revision in found}):
        return [Finding("schema", True, f"at {at}, of a newer version, which this code ({known}) can work with")]
    return [Finding("schema", False, f"at {at}, of a newer version of Amends: this code knows {known}")]


async def _executors(looking: CheckContext) -> list[Finding]:
    rows = await looking.reader.rows(SQL["executors"], ())
    late = [row["id"] for row in rows if row["late"]]
    found = f"{len(rows) - len(late)} alive" + (f", without a heartbeat: {', '.join(late)}" if late else "")
    text = found if rows else "none: nothing runs until one is started"
    return [Finding("executors", bool(rows) and not late, text)]


async def _sagas(looking: CheckContext) -> list[Finding]:
    rows = await looking.reader.rows(SQL["sagas"], ())
    open_ = [row for row in rows if row["count"]]
    found = ", ".join(f"{row['count']} {row['status']}" for row in open_) or "none open"
    about = f"; about {rows[0]['about']:,} altogether" if rows[0]["about"] else ""
    return [Finding("sagas", not any(row["needs_somebody"] for row in open_), found + about)]


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
    return [Finding("providers", not down, "; ".join([*down, *back]) or "all answer, as far as anybody has asked")]


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
    return Finding(f"read model {found['name']}", well and not troubles, "; ".join([", ".join(text), *troubles]))


def _first(waiting: list[dict[str, Any]]) -> str:
    """The first of the keys that are set aside, each with its event."""
    shown = [f"{short_key(each['key'])} ({each['type']} at position {each['position']})" for each in waiting[:NAMED]]
    return ", ".join(shown) + (", …" if len(waiting) > NAMED else "")


CHECKS = (
    Check("database", _server),
    Check("schema", _schema, ("alembic_version",)),
    Check("executors", _executors, ("executors",)),
    Check("sagas", _sagas, ("sagas",)),
    Check("feed", _feed),
    Check("history", _history, ("losses",)),
    Check("providers", _providers, ("outages", "sagas")),
    Check("read models", _read_models, ("builds", "set_aside", "events")),
)
