"""URLs of the database: what libpq reads in one is what every library that is given ours reads in it."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from sqlalchemy import URL, make_url
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg

import app.amends.security.passwords
from app.amends.postgres.urls import conninfo, parse_url, redacted_url, with_value_formats
from app.amends.security.passwords import hide_url_secrets, without_secrets
from domain.amends.errors import StartupError

PRINTABLE = st.characters(codec="utf-8", categories=["L", "N", "P", "S", "Zs"]).filter(str.isprintable)
WORDS = st.text(PRINTABLE, min_size=1, max_size=12)
NAMES = st.sampled_from(["db", "db-1.example", "10.0.0.1", "::1", "fe80::1%eth0", "/run/pg", "@abstract", "a_b"])
PORTS = st.one_of(st.just(""), st.integers(1, 65535).map(str), st.just("05432"))
QUERIES = st.fixed_dictionaries(
    {},
    optional={
        "target_session_attrs": st.sampled_from(["any", "read-write", "primary", "prefer-standby"]),
        "sslmode": st.sampled_from(["require", "disable"]),
        "options": WORDS,
        "connect_timeout": st.just("7"),
        "passfile": WORDS,
        "application_name": WORDS,
    },
)


def encoded(text: str) -> str:
    return quote(text, safe="")


def bracketed(host: str) -> str:
    return f"[{encoded(host).replace('%3A', ':')}]" if ":" in host else encoded(host)


@st.composite
def written(draw: st.DrawFn) -> str:
    """A URL as libpq takes it, with its hosts where they usually stand, or in its query."""
    user = draw(st.sampled_from(["", "someone", "some one+"]))
    password = draw(st.one_of(st.none(), st.text(PRINTABLE, min_size=8, max_size=20)))
    hosts = draw(st.lists(st.tuples(NAMES, PORTS), max_size=3))
    database, query = draw(WORDS), draw(QUERIES)
    before = encoded(user) + ("" if password is None else f":{encoded(password)}")
    before += "@" if before else ""
    if draw(st.booleans()):
        cursor = ",".join(bracketed(host) + (f":{port}" if port else "") for host, port in hosts)
    else:
        cursor = ""
        if hosts:
            query |= {"host": ",".join(host for host, _ in hosts), "port": ",".join(port for _, port in hosts)}
    asked = "&".join(f"{name}={encoded(value)}" for name, value in query.items())
    return f"postgresql://{before}{cursor}/{encoded(database)}" + (f"?{asked}" if asked else "")


def read_by_libpq(text: str) -> dict[str, object]:
    """What libpq reads: with as many ports as hosts, and without what says nothing."""
    found = {name: value for name, value in conninfo_to_dict(text).items() if value}
    hosts = str(found.get("host", "")).split(",")
    ports = [str(int(port)) if port else "" for port in str(found.pop("port", "")).split(",")]
    ports = ports if len(ports) == len(hosts) else ports * len(hosts)
    return found | ({"port": ports} if any(ports) else {})


def read_by_sqlalchemy(text: str) -> dict[str, object]:
    """What it hands to psycopg, as it does for DBOS and Alembic."""
    dialect: Any = PGDialect_psycopg  # its functions have no types
    _, named = dialect().create_connect_args(make_url(text).set(drivername="postgresql+psycopg"))
    return read_by_libpq(make_conninfo(**named))


def completed(said: dict[str, object], url: URL) -> dict[str, object]:
    """What we write besides: whom libpq would take, and which of several hosts is meant."""
    host = str(said.get("host", said.get("hostaddr", "")))
    more: dict[str, object] = {"host": host, "dbname": url.database}
    if "password" in said and "user" not in said:
        more["user"] = url.username
    if "," in host and "target_session_attrs" not in said:
        more["target_session_attrs"] = "read-write"
    return {name: value for name, value in more.items() if value}


def parsed(text: str) -> URL | StartupError:
    try:
        return parse_url(text)
    except StartupError as error:
        return error


@given(text=written())
@example("postgresql://u:pw@h1:5432,h2:5433/db?target_session_attrs=read-write")
@example("postgresql://u:pw@/db?host=a,b&port=5433")
@example("postgresql://u:pw@[::1]:5433,%2Ftmp/db")
@example("postgresql://u:pw@/db?hostaddr=10.0.0.1,10.0.0.2")
def test_what_libpq_reads_in_a_url_is_read_in_ours_by_all(text: str) -> None:
    url, said = parse_url(text), read_by_libpq(text)
    said |= completed(said, url)
    if "host" not in conninfo_to_dict(text):
        said.pop("hostaddr", None)
    assert read_by_libpq(conninfo(url)) == said
    assert read_by_sqlalchemy(conninfo(url)) == said
    ours = read_by_sqlalchemy(conninfo(with_value_formats(url)))
    assert ours | {"options": 0, "client_encoding": 0} == said | {"options": 0, "client_encoding": 0}
    assert parse_url(conninfo(url)) == url
    assert "," not in str(said.get("host", "")) or "," in redacted_url(url)


@given(text=written(), where=st.integers(0, 80), cut=st.integers(0, 3), put=st.text(max_size=3))
def test_whatever_is_written_is_read_as_libpq_does_or_refused_without_showing_it(
    text: str, where: int, cut: int, put: str
) -> None:
    text = "postgresql://" + text[13 : 13 + where] + put + text[13 + where + cut :]
    app.amends.security.passwords._known.clear()
    hide_url_secrets(text)
    url = parsed(text)
    if isinstance(url, StartupError):
        assert str(url).startswith("DATABASE_URL is wrong: ")
        assert not any(part in str(url) for part in text.split("://")[1].split("@")[0].split(":") if len(part) > 7)
        return
    said = read_by_libpq(text)
    assert url.password == said.get("password")
    assert read_by_sqlalchemy(conninfo(url)) == read_by_libpq(conninfo(url))
    assert {**read_by_libpq(conninfo(url)), "hostaddr": 0} == {**said, **completed(said, url), "hostaddr": 0}
    password = str(said.get("password", ""))
    assume(len(password) > 5)
    assume(not any(password in str(value) for name, value in said.items() if name != "password"))
    for each in (str(url), repr(url), redacted_url(url), without_secrets(conninfo(url))):
        assert password not in each


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("h1:5432,h2:x/db", "its port is not a number"),
        ("h1:5432,h2:0/db", "its port is not one of 1 to 65535"),
        ("h1:99999999999999999999/db", "its port is not one of 1 to 65535"),
        ("/db?host=a,b,c&port=1,2", "it names 3 hosts and 2 ports"),
        ("h1,h2/db?hostaddr=10.0.0.1", "it names 2 hosts and 1 of hostaddr"),
        ("/db?host=h1:1&host=h2:2", "the ports of hosts in its query stand beside them: host=a,b&port=1,2"),
        ("h/db?service=shop", "its service is not looked up: give host, port, user and database themselves"),
        ("h/db?target_session_atrs=any", "a parameter of its query is not one of libpq's; perhaps target_session"),
        ("h/db?geheim-1=x", "a parameter of its query is not one of libpq's."),
        ("h/db?sslmode", "a parameter of its query is not written as name=value"),
        ("[::1:5432/db", "its IPv6 address is written as [::1], and then comes its port"),
        ("u:geheim%1@h/db", "a % in it that stands for itself is written as %25"),
        ("u:ge heim@h/db", "a space in it is written as %20"),
        ("u:geheim@h1,h@2/db", "an @ in its password is written as %40"),
        ("u:geheim@h/db%ff", "it holds a character that cannot be printed"),
    ],
)
def test_what_is_wrong_is_named(text: str, said: str) -> None:
    with pytest.raises(StartupError) as raised:
        parse_url(f"postgresql://{text}", "AMENDS_MIGRATION_URL")
    assert f"AMENDS_MIGRATION_URL is wrong: {said}" in str(raised.value)
    assert "geheim" not in str(raised.value)
    assert isinstance(raised.value.__context__, Exception)
    assert raised.value.__suppress_context__


def test_a_database_that_is_not_named_is_the_one_that_libpq_would_take(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGDATABASE", "meant")
    assert parse_url("postgresql://u@h").database == "meant"
    monkeypatch.delenv("PGDATABASE")
    assert parse_url("postgresql://u@h").database == "u"
