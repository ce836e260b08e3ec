"""URLs of the database: what is wrong with one, and how connections are made from it."""

from __future__ import annotations

from typing import Any

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from domain.errors import Unusable

#: No statement and no lock is waited for longer than this, and a dead peer is noticed.
LIMITS = {
    "statement_timeout": "15s",
    "lock_timeout": "5s",
    "idle_in_transaction_session_timeout": "15s",
}
FORMATS = {
    "timezone": "UTC",
    "datestyle": "ISO",
    "intervalstyle": "postgres",
    "extra_float_digits": "1",
    "quote_all_identifiers": "off",
    "client_encoding": "UTF8",
}
"""How values travel, whatever the database, its roles and a URL set: they are read as this says."""
WIRE: dict[str, Any] = {
    "connect_timeout": 5,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
}


EXAMPLE = "It looks like postgresql://user:password@host:5432/database."


def parse_url(text: str, setting: str = "DATABASE_URL") -> URL:
    """A database URL, checked; its password stands in its place, not in the query.

    Raises Unusable without showing any of it.
    """
    try:
        url = make_url(text)
    except ArgumentError:
        url = None
    except ValueError:
        raise _wrong(setting, "its port is not a number") from None
    if url is None or url.get_backend_name() not in ("postgresql", "postgres") or (not url.host and not url.query):
        raise Unusable(f"{setting} is not the URL of a Postgres database.", EXAMPLE)
    if found := _problem(text, url):
        raise _wrong(setting, found)
    password = url.query.get("password")
    if password is not None:  # where every library looks for it, and none shows it
        last = password if isinstance(password, str) else password[-1]
        url = url.difference_update_query(["password"]).set(password=last)
    return url.set(drivername="postgresql")


def _problem(text: str, url: URL) -> str | None:
    """What is wrong with a URL that could be parsed."""
    rest = [part for value in url.query.values() for part in ([value] if isinstance(value, str) else value)]
    parts = [str(part) for part in (url.username, url.password, url.host, url.database, *url.query, *rest) if part]
    if any(not letter.isprintable() for letter in "".join(parts)):
        return "it holds a character that cannot be printed"
    if url.password is not None and "@" in text.partition("://")[2].partition(":")[2].partition("@")[2]:
        return "an @ in its password is written as %40"
    given = url.query.get("port", ())
    ports = [port for text in ([given] if isinstance(given, str) else given) for port in text.split(",") if port]
    if url.port is not None:
        ports.append(str(url.port))
    if not all(port.isascii() and port.isdecimal() for port in ports):
        return "its port is not a number"
    if not all(0 < int(port) < 65536 for port in ports):
        return "its port is not one of 1 to 65535"
    return None


def _wrong(setting: str, what: str) -> Unusable:
    return Unusable(f"{setting} is wrong: {what}.", EXAMPLE)


def conninfo(url: URL) -> str:
    """The URL as libpq wants it, password included: not for logs. It takes no other spaces than encoded ones."""
    place, mark, query = url.render_as_string(hide_password=False).partition("?")
    return place.replace(" ", "%20") + mark + query.replace("+", "%20")


def settings(url: URL, purpose: str, **limits: str) -> dict[str, Any]:
    """Keyword arguments of psycopg.connect; `purpose` is what pg_stat_activity shows. The URL's own limits stay."""
    options = _options(LIMITS | limits, url)
    encoding = FORMATS["client_encoding"]  # a variable of the environment would be stronger than an option
    return WIRE | {
        "application_name": f"amends {purpose}",
        "options": options,
        "client_encoding": encoding,
        "autocommit": True,
    }


def formatted(url: URL) -> URL:
    """The URL for connections that others make: values travel as on ours."""
    return url.update_query_dict({"options": _options({}, url), "client_encoding": FORMATS["client_encoding"]})


def _options(limits: dict[str, str], url: URL) -> str:
    given = url.query.get("options", ())
    before, after = ([f"-c {name}={value}" for name, value in part.items()] for part in (limits, FORMATS))
    return " ".join([*before, *([given] if isinstance(given, str) else given), *after])
