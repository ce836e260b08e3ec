"""Looks at a database, also at one that is out of order: a check that cannot be made says why."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import psycopg
from sqlalchemy import URL

from app.amends.doctor.database_checks import CHECKS, GRANT, MIGRATE, SQL
from app.amends.doctor.findings import Check, CheckContext, Finding
from app.amends.postgres.checks.server_usability import require_usable_quietly, require_usable_server
from app.amends.postgres.connections.pool import Pool, connect
from app.amends.postgres.migrate import Migrations
from app.amends.postgres.roles import as_service
from app.amends.postgres.sqlstates import Sqlstate, message_of, sqlstate
from app.amends.postgres.statements.committer import Committer, Parameters
from app.amends.postgres.statements.reader import Reader
from app.amends.projections.postgres_projections import PostgresProjections
from domain.amends.errors import StartupError
from workflows.amends.ports.projection_builds import KnownProjections
from workflows.amends.projections.builds import ProjectionBuilds

OPEN_SECONDS = 10.0
"""How long a connection is waited for; each of several hosts has a part of it."""
PATIENCE = 2.0
"""How long a read is tried again."""
UNREACHED = "see docs/how-to/own-postgres.md"
LACKING = (
    Sqlstate.UNDEFINED_TABLE,
    Sqlstate.UNDEFINED_COLUMN,
    Sqlstate.UNDEFINED_FUNCTION,
    Sqlstate.UNDEFINED_OBJECT,
    Sqlstate.INVALID_SCHEMA_NAME,
)


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
        return [refusal or Finding("database", False, f"no connection to it: {message_of(error)}", UNREACHED)]
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
    refused = [refusal] if refusal else []
    return [*refused, *(finding for found in found_by_all for finding in found)]


def _refusal(require: Callable[[URL], object], url: URL) -> Finding | None:
    """The reason why no server would start on this database, and what to do about it."""
    try:
        require(url)
    except StartupError as no:
        return Finding("database", False, no.problem, no.remedy)
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
        found, new = f"not looked at: there is no amends.{', amends.'.join(missing)}", not looking.readable
        return [Finding(check.what, False, found, MIGRATE, failure=not new)]
    if denied:
        found = f"not looked at: {looking.login} may not read {', '.join(denied)}"
        return [Finding(check.what, False, found, GRANT.format(login=looking.login))]
    try:
        return await check.look(looking)
    except Exception as error:  # whatever it is: the other checks go on
        cause = error if isinstance(error, psycopg.Error) else error.__cause__ or error
        return [Finding(check.what, False, f"not looked at: {message_of(cause)}", _remedy(cause, looking.login))]


def _remedy(error: BaseException, login: str) -> str:
    if sqlstate(error) == Sqlstate.INSUFFICIENT_PRIVILEGE:
        return GRANT.format(login=login)
    if sqlstate(error) in LACKING:
        return MIGRATE
    return ""
