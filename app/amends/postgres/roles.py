"""Least privilege: the service works under a role that can neither drop nor alter anything, nor change an event."""

from __future__ import annotations

import logging
from typing import NamedTuple

import psycopg
from sqlalchemy import URL

log = logging.getLogger("amends.roles")

ROLE = "amends_service"
LOOK = """
select r.oid is not null, coalesce(pg_has_role(coalesce(%s::name, current_user), r.oid, %s), false),
       coalesce(pg_has_role(r.oid, 'pg_read_all_stats', 'member'), false),
       coalesce(has_schema_privilege(r.oid, to_regnamespace('amends')::oid, 'usage'), false)
  from (values (true)) as always left join pg_roles as r on r.rolname = 'amends_service'"""
SET_SINCE = 160000
"""From Postgres 16 on, who has created a role is a member that may give it away, but not necessarily take it."""


class ServiceRole(NamedTuple):
    """How the service's role stands: whether it is there, its login may take it, and what it may do."""

    exists: bool
    is_joined: bool
    sees_all: bool
    has_rights: bool


def as_service(url: URL) -> URL:
    """The URL whose connections work under the service's role."""
    return _with_option(url, f"-c role={ROLE}")


def read_only(url: URL) -> URL:
    """The URL whose connections write nothing."""
    return _with_option(url, "-c default_transaction_read_only=on")


def _with_option(url: URL, option: str) -> URL:
    given = url.query.get("options", ())
    options = " ".join([*([given] if isinstance(given, str) else given), option])
    return url.update_query_dict({"options": options})


def read_service_role(session: psycopg.Connection, login: str | None) -> ServiceRole:
    """Look at the role, for the login of the service; that of the session if none is named."""
    how = "set" if session.info.server_version >= SET_SINCE else "member"
    row = session.execute(LOOK, (login, how)).fetchone()
    assert row is not None
    return ServiceRole(*row)


def join_service_role(session: psycopg.Connection, login: str | None) -> ServiceRole:
    """Create the role and let the login take it, where that is not so yet and the session may.

    The role is one for all databases of a server: another one may have created it, or do so right now.
    """
    role = read_service_role(session, login)
    if not role.exists:
        _try(session, "create role amends_service nologin")
        role = read_service_role(session, login)
    if role.exists and not role.is_joined:
        name = psycopg.sql.Identifier(login) if login else psycopg.sql.SQL("current_user")
        _try(session, psycopg.sql.SQL("grant amends_service to {}").format(name))
        role = read_service_role(session, login)
    if role.is_joined and not role.sees_all:
        _try(session, "grant pg_read_all_stats to amends_service")
    return role


def url_under_role(service: URL, role: ServiceRole) -> URL:
    """The URL that the service is to use.

    Where it cannot take its role, it keeps the rights of its login, and a warning says so.
    """
    if role.is_joined and role.has_rights:
        return as_service(service)
    log.warning(
        "The service runs with the rights of %s, which may alter tables. To take them away: CREATE ROLE %s; "
        "GRANT %s TO %s; then start again. Or migrate with a role of its own: AMENDS_MIGRATION_URL.",
        service.username or "its database user",
        ROLE,
        ROLE,
        service.username or "that user",
    )
    return service


def _try(connection: psycopg.Connection, statement: str | psycopg.sql.Composed) -> None:
    """Do what may not be allowed, or what somebody else may be doing: whoever asks looks afterwards."""
    try:
        connection.execute(statement)
    except (psycopg.errors.InsufficientPrivilege, psycopg.errors.DuplicateObject, psycopg.errors.UniqueViolation) as no:
        log.debug("%s: %s", statement, no)
    except psycopg.errors.InternalError as concurrently:
        log.debug("%s: %s", statement, concurrently)
