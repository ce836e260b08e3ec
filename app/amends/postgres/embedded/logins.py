"""The logins of the embedded Postgres: one owns everything and migrates, one serves. Neither is a superuser."""

from __future__ import annotations

from pathlib import Path

import psycopg
from psycopg import sql

from app.amends.postgres.roles import ROLE
from app.amends.postgres.sql_files import load_statements

SQL = load_statements(Path(__file__).with_name("logins.sql"))
OWNER, SERVER = "amends_owner", "amends_server"
LOGINS = (OWNER, SERVER)


def create_logins(url: str, passwords: dict[str, str]) -> None:
    """Make both logins with these passwords, as the superuser, and let the one own all that the superuser made before.

    It may be done again: a login can change its own password.
    """
    with psycopg.connect(url) as connection:
        for role in (ROLE, *LOGINS):
            if connection.execute(SQL["known"], (role,)).fetchone() is None:
                connection.execute(sql.SQL("create role {}").format(sql.Identifier(role)))
        connection.execute(SQL["rights"])
        connection.execute(SQL["reset"])
        for role, password in passwords.items():
            secret = connection.pgconn.encrypt_password(password.encode(), role.encode(), b"scram-sha-256").decode()
            connection.execute(
                sql.SQL("alter role {} login password {}").format(sql.Identifier(role), sql.Literal(secret))
            )
        connection.execute(SQL["own"])
