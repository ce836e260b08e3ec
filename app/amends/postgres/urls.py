"""URLs of the database: parsed, checked, shown without secrets, and turned into the settings of connections."""

from __future__ import annotations

import re
from typing import Any

from sqlalchemy.engine import URL

from app.amends.postgres.libpq import InvalidUrl, hosts_and_ports, libpq_default, url_parameters
from domain.amends.errors import StartupError

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
    "client_min_messages": "warning",
}
"""Settings of how values are written on the wire, whatever the database, its roles and a URL set."""
WIRE: dict[str, Any] = {
    "connect_timeout": 5,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
}


EXAMPLE = "It looks like postgresql://user:password@host:5432/database."
SEVERAL = "read-write"
"""The host that is connected to of several, unless a URL says otherwise: the one that takes writes."""
REFUSED = ("service", "servicefile")
"""Parameters of libpq that refer to a file: other libraries could not resolve them."""


def parse_url(text: str, setting: str = "DATABASE_URL") -> URL:
    """A database URL, checked and written so that libpq, SQLAlchemy and DBOS read the same in it.

    One host stands in its usual place, several in the query. Raises StartupError without showing any of it.
    """
    if not text.strip():
        raise StartupError(f"{setting} is empty.", f"Unset it, or name a database. {EXAMPLE}")
    scheme, mark, rest = text.partition("://")
    if not mark or scheme.partition("+")[0] not in ("postgresql", "postgres"):
        raise StartupError(f"{setting} is not the URL of a Postgres database.", EXAMPLE)
    try:
        return _url(url_parameters(f"postgresql://{rest}"))
    except InvalidUrl as wrong:
        raise StartupError(f"{setting} is wrong: {wrong}.", EXAMPLE) from None


def _url(given: dict[str, str]) -> URL:
    for name in REFUSED:
        if name in given:
            raise InvalidUrl(f"its {name} is not looked up: give host, port, user and database themselves")
    hosts, ports = hosts_and_ports(given)
    user = given.get("user") or (libpq_default("user") if "password" in given else None)
    database = given.get("dbname") or libpq_default("dbname") or user or libpq_default("user")
    if database is None:
        raise InvalidUrl("it names no database")
    taken = ("host", "port", "user", "password", "dbname", *(() if "host" in given else ("hostaddr",)))
    query = {name: value for name, value in given.items() if name not in taken}
    url = URL.create("postgresql", user, given.get("password"), database=database, query=query)
    if len(hosts) == 1 and _NAME.fullmatch(hosts[0]):
        return url.set(host=hosts[0] or None, port=int(ports[0]) if ports[0] else None)
    named = {"host": ",".join(hosts)} | ({"port": ",".join(ports)} if any(ports) else {})
    several = {"target_session_attrs": SEVERAL} if len(hosts) > 1 and "target_session_attrs" not in given else {}
    return url.update_query_dict(named | several)


_NAME = re.compile(r"[\w.-]*|[0-9a-fA-F:.]+", re.ASCII)
"""A host in its usual place: a name or an address, but not the folder of a socket."""


def redacted_url(url: URL) -> str:
    """A URL without anything that may be secret, for messages."""
    if "host" not in url.query:
        return str(url.set(query={}))
    hosts = str(url.query["host"]).split(",")
    ports = str(url.query["port"]).split(",") if "port" in url.query else [""] * len(hosts)
    bracketed = [f"[{host}]" if ":" in host else host for host in hosts]
    all_ = ",".join(f"{host}:{port}" if port else host for host, port in zip(bracketed, ports, strict=True))
    user = f"{url.username}@" if url.username else ""
    return f"postgresql://{user}{all_}/{url.database}"


def conninfo(url: URL) -> str:
    """A URL in libpq's form, password included: not for logs. libpq takes spaces only percent-encoded."""
    place, mark, query = url.render_as_string(hide_password=False).partition("?")
    return place.replace(" ", "%20") + mark + query.replace("+", "%20")


def connection_settings(url: URL, purpose: str, **limits: str) -> dict[str, Any]:
    """Keyword arguments of psycopg.connect; pg_stat_activity shows the `purpose`. Limits in the URL itself win."""
    options = _options(LIMITS | limits, url)
    encoding = FORMATS["client_encoding"]  # a variable of the environment would be stronger than an option
    return WIRE | {
        "application_name": f"amends {purpose}",
        "options": options,
        "client_encoding": encoding,
        "autocommit": True,
    }


def with_value_formats(url: URL) -> URL:
    """A URL for connections of other libraries, with the same formats of values."""
    return url.update_query_dict({"options": _options({}, url), "client_encoding": FORMATS["client_encoding"]})


def _options(limits: dict[str, str], url: URL) -> str:
    given = url.query.get("options", ())
    before, after = ([f"-c {name}={value}" for name, value in part.items()] for part in (limits, FORMATS))
    return " ".join([*before, *([given] if isinstance(given, str) else given), *after])


def session_settings(url: URL) -> dict[str, str]:
    """The settings that a session of this URL must have; limits that the URL itself sets are left out."""
    given = _options({}, url)
    limits = {name: value for name, value in LIMITS.items() if name not in given}
    return limits | FORMATS | dict(re.findall(r"-c (role)=(\w+)", given)[-1:])
