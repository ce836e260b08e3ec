"""Least privilege: the service works under a role that can neither drop nor alter anything, nor change an event."""

from __future__ import annotations

import logging
from collections.abc import Iterable

import psycopg
from sqlalchemy import URL

from app.amends.postgres.urls import conninfo, settings

log = logging.getLogger("amends.roles")

ROLE = "amends_service"
TURN = "select pg_advisory_lock(hashtextextended('amends.migrate', 0))"

KNOWN = "select from pg_roles where rolname = 'amends_service'"
MEMBER = "select pg_has_role(%s, 'amends_service', %s)"
SET_SINCE = 160000
"""From Postgres 16 on, who has created a role is a member that may give it away, but not necessarily take it."""
HAS_RIGHTS = "select has_schema_privilege('amends_service', 'amends', 'usage')"
SEES_ALL = "select pg_has_role('amends_service', 'pg_read_all_stats', 'member')"


def as_service(url: URL) -> URL:
    """The URL whose connections work under the service's role."""
    given = url.query.get("options", ())
    options = " ".join([*([given] if isinstance(given, str) else given), f"-c role={ROLE}"])
    return url.update_query_dict({"options": options})


def grant(owner: URL, service: URL, rights: Iterable[bytes]) -> URL:
    """Let the service work under its role; returns the URL that it is to use.

    A role that has no rights in this database yet is given them; else upgrades alone change them.
    Where the owner may not create roles and nobody has, the service keeps the owner's rights, and a warning says so.
    """
    with psycopg.connect(conninfo(owner), **settings(owner, "roles")) as connection:
        connection.execute(TURN)
        if not _created(connection) or not _joined(connection, service.username or _me(connection)):
            log.warning(
                "The service runs with the rights of %s, which may alter tables. To take them away: CREATE ROLE %s; "
                "GRANT %s TO %s; then start again. Or migrate with a role of its own: AMENDS_MIGRATION_URL.",
                service.username or "its database user",
                ROLE,
                ROLE,
                service.username or "that user",
            )
            return service
        if not _true(connection, SEES_ALL):
            _try(connection, "grant pg_read_all_stats to amends_service")
        if not _true(connection, HAS_RIGHTS):
            for each in rights:
                connection.execute(each)
    return as_service(service)


def _created(connection: psycopg.Connection) -> bool:
    """The role is one for all databases of a server: another one may have created it, or do so right now."""
    if connection.execute(KNOWN).fetchone() is None:
        _try(connection, "create role amends_service nologin")
    return connection.execute(KNOWN).fetchone() is not None


def _joined(connection: psycopg.Connection, user: str) -> bool:
    how = "set" if connection.info.server_version >= SET_SINCE else "member"
    if not _true(connection, MEMBER, user, how):
        quoted = psycopg.sql.Identifier(user)
        _try(connection, psycopg.sql.SQL("grant amends_service to {}").format(quoted))
    return _true(connection, MEMBER, user, how)


def _me(connection: psycopg.Connection) -> str:
    row = connection.execute("select current_user").fetchone()
    assert row is not None
    return str(row[0])


def _true(connection: psycopg.Connection, question: str, *parameters: object) -> bool:
    row = connection.execute(question, parameters).fetchone()
    return row is not None and bool(row[0])


def _try(connection: psycopg.Connection, statement: str | psycopg.sql.Composed) -> None:
    """Do what may not be allowed, or what somebody else may be doing: whoever asks looks afterwards."""
    try:
        connection.execute(statement)
    except (psycopg.errors.InsufficientPrivilege, psycopg.errors.DuplicateObject, psycopg.errors.UniqueViolation) as no:
        log.debug("%s: %s", statement, no)
    except psycopg.errors.InternalError as concurrently:
        log.debug("%s: %s", statement, concurrently)
