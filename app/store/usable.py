"""Whether the database can be used at all, asked before anything is done with it."""

from __future__ import annotations

import psycopg
from sqlalchemy.engine import URL

from app.store.urls import FORMATS, conninfo, settings, shown
from domain.errors import Unusable

OLDEST = 150000
"""The oldest server that is supported, as Postgres numbers its versions."""

AS_ASKED = """
select current_setting('server_encoding'), current_setting('client_encoding'), current_setting('timezone'),
       split_part(current_setting('datestyle'), ',', 1), pg_is_in_recovery()
"""


def require_usable(url: URL) -> None:
    """Connect once and look at the server. Raises Unusable with what is wrong and what to do."""
    try:
        with psycopg.connect(conninfo(url), **settings(url, "check")) as connection:
            version = connection.info.server_version
            row = connection.execute(AS_ASKED).fetchone()
            assert row is not None
            encoding, *formats, recovering = row
    except psycopg.Error as error:
        raise Unusable(
            f"The database does not let us in: {_said(error)}", f"Check DATABASE_URL ({shown(url)})."
        ) from error
    if version < OLDEST:
        raise Unusable(f"The database is Postgres {version // 10000}.", "Amends needs Postgres 15 or newer.")
    if recovering:
        raise Unusable("The database is a standby and cannot be written to.", "Point DATABASE_URL to the primary.")
    if encoding != "UTF8":
        raise Unusable(
            f"The database's encoding is {encoding}, which does not hold every text.",
            "Create one with: create database … encoding 'UTF8' template template0.",
        )
    if formats != (asked := [FORMATS[name] for name in ("client_encoding", "timezone", "datestyle")]):
        raise Unusable(
            f"Sessions of the database come with {', '.join(formats)} instead of {', '.join(asked)}.",
            "Unset PGTZ and PGDATESTYLE, and let a pooler pass the options of a connection on.",
        )


def _said(error: psycopg.Error) -> str:
    """Why nobody was let in, by each of several hosts."""
    lines = str(error).strip().splitlines()
    return "; ".join(line[2:] for line in lines if line.startswith("- host: ")) or lines[-1]
