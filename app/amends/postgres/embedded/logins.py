"""The database of the embedded Postgres, and its logins: one owns everything and migrates, one serves.

Neither is a superuser.
"""

from __future__ import annotations

from pathlib import Path

import psycopg
from psycopg import sql

from app.amends.postgres.embedded.folder import SafeFolder
from app.amends.postgres.roles import ROLE
from app.amends.postgres.sql_files import load_statements

SQL = load_statements(Path(__file__).with_name("logins.sql"))
OWNER, SERVER = "amends_owner", "amends_server"
LOGINS = (OWNER, SERVER)
DATABASE = "postgres"
"""The database that each cluster has."""


def database_in(folder: SafeFolder) -> str:
    """The database that a cluster's servers use: one named after the service, if it was made so."""
    return folder.read("database").decode() if folder.exists("database") else DATABASE


def create_database(url: str, name: str) -> None:
    """Make a database, as the superuser, if it is not there yet."""
    with psycopg.connect(url, autocommit=True) as connection:
        if connection.execute("select from pg_database where datname = %s", (name,)).fetchone() is None:
            connection.execute(sql.SQL("create database {}").format(sql.Identifier(name)))


def lets_in(url: str) -> bool:
    """Whether a login can connect now."""
    try:
        psycopg.connect(url, connect_timeout=3).close()
    except psycopg.OperationalError:
        return False
    return True


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
