"""Passwords in what is said."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Callable
from urllib.parse import quote, quote_plus

import psycopg
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from sqlalchemy import URL, create_engine

import app.amends.security.passwords
from app.amends.output.log_lines import LogLineFormatter
from app.amends.output.log_rendering import json_line
from app.amends.postgres.urls import conninfo, parse_url
from app.amends.security.passwords import PasswordHidingStream, hide_url_secrets, without_secrets
from domain.amends.errors import StartupError
from tests.amends.harness.program import amends


@pytest.fixture(autouse=True)
def forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """No password is known but those of the test itself."""
    monkeypatch.setattr(app.amends.security.passwords, "_known", set())


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("at postgresql://u:geheim@h:5432/x now", "at postgresql://u:***@h:5432/x now"),
        ("postgresql+psycopg://u:ge:hei@m/@h/x", "postgresql+psycopg://u:***@h/x"),
        ("(postgres://u@h/x?password=geheim&sslmode=require)", "(postgres://u@h/x?password=***&sslmode=require)"),
        ("postgres://h/x?sslmode=require&sslpassword=geheim", "postgres://h/x?sslmode=require&sslpassword=***"),
        ("postgres://h:5432/x?pass%77ord=ge@heim", "postgres://h:***"),
        ("postgres://u@h/x?passfile=/geheim&user=u", "postgres://u@h/x?passfile=***&user=u"),
        ("postgres://u@h/x?options=-c%20my.key=geheim", "postgres://u@h/x?options=***"),
        ("postgres://u:ge?a=heim@h/x", "postgres://u:***"),
        ("host=h user=u password=geheim dbname=x", "host=h user=u password=*** dbname=x"),
        (r"password='ge \' heim' dbname=x", "password=*** dbname=x"),
        ("{'user': 'u', 'password': 'geheim', 'host': 'h'}", "{'user': 'u', 'password': ***, 'host': 'h'}"),
        ('{"sslpassword": "ge\\"heim"}', '{"sslpassword": ***}'),
        ("postgresql://u@h:5432/x", "postgresql://u@h:5432/x"),
        ("postgresql://u:geheim@h1:1,[::1]:2,h3/x?port=1,2", "postgresql://u:***@h1:1,[::1]:2,h3/x?port=1,2"),
        ("postgresql://h1:5432,h2:5433/x", "postgresql://h1:5432,h2:5433/x"),
        ("http://127.0.0.1:8000/a@b", "http://127.0.0.1:8000/a@b"),
        ('password authentication failed for user "u"', 'password authentication failed for user "u"'),
    ],
)
def test_a_password_is_hidden_and_nothing_else(said: str, shown: str) -> None:
    assert without_secrets(said) == shown


PASSWORDS = st.text(st.characters(codec="utf-8", categories=["L", "N", "P", "S", "Zs"]), min_size=8, max_size=20)
URLS = {
    "user info": "postgresql://someone:{0}@db.example/shop",
    "query": "postgresql://someone@db.example/shop?sslmode=require&password={0}",
    "encoded key": "postgresql://someone@db.example/shop?pass%77ord={0}&user=x",
    "key of a certificate": "postgresql://someone@db.example:5432/shop?sslpassword={0}",
    "options": "postgresql://someone@db.example/shop?options=-c%20my.secret={0}",
    "no port": "postgresql://someone:{0}@db.example:abc/shop",
    "no scheme": "someone:{0}@db.example/shop",
    "another scheme": "mysql://someone:{0}@db.example/shop",
}
SAYINGS: list[Callable[[str, str], str]] = [
    lambda text, plain: text,
    lambda text, plain: f"could not connect to {text!r}",
    lambda text, plain: f'invalid value: "{plain}"',
    lambda text, plain: repr({"kwargs": {"pw": plain}}),
    lambda text, plain: f"forbidden value %00 in percent-encoded value: {quote(plain, safe='')}!",
    lambda text, plain: f"({quote_plus(plain)})",
]


@given(password=PASSWORDS, place=st.sampled_from([*URLS][:5]), how=st.sampled_from(range(len(SAYINGS))))
def test_a_known_password_is_hidden_in_whatever_form_it_is_said(password: str, place: str, how: int) -> None:
    if place == "options":
        assume(not any(letter.isspace() or letter == "\\" for letter in password))
    text = URLS[place].format(quote(password, safe=""))
    app.amends.security.passwords._known.clear()
    hide_url_secrets(text)
    said = without_secrets(SAYINGS[how](text, password))
    assert password not in said
    assert repr(password)[1:-1] not in said
    assert quote(password, safe="") not in said


def parsed(text: str) -> URL | StartupError:
    try:
        return parse_url(text)
    except StartupError as error:
        return error


@given(password=PASSWORDS, place=st.sampled_from([*URLS]), encoded=st.booleans())
def test_what_is_said_of_a_url_and_by_its_users_has_no_password_in_it(password: str, place: str, encoded: bool) -> None:
    """Also where it is written without %: whole, or in the parts into which a library would cut it."""
    text = URLS[place].format(quote(password, safe="") if encoded else password)
    app.amends.security.passwords._known.clear()
    hide_url_secrets(text)
    url = parsed(text)
    if isinstance(url, StartupError):
        assert all(part not in str(url) for part in (password, *password.split("@")) if len(part) > 5)
        return
    engine = create_engine(url.set(drivername="postgresql+psycopg"))
    for said in (str(url), repr(url), repr(engine), conninfo(url)):
        assert password not in without_secrets(said)
    if place in ("user info", "query", "encoded key") and encoded:
        assert url.password == password
        assert psycopg.conninfo.conninfo_to_dict(conninfo(url))["password"] == password
        assert "password" not in url.query


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("postgresql://u:geheim@h:abc/x", "DATABASE_URL is wrong: its port is not a number."),
        ("postgresql://u:geheim@h:-1/x", "DATABASE_URL is wrong: its port is not a number."),
        ("postgresql://u:geheim@/x?host=h&port=abc", "DATABASE_URL is wrong: its port is not a number."),
        ("postgresql://u:geheim@h:65536/x", "DATABASE_URL is wrong: its port is not one of 1 to 65535."),
        ("postgresql://u:geheim@h:0/x", "DATABASE_URL is wrong: its port is not one of 1 to 65535."),
        ("postgresql://u:ge@heim@h/x", "DATABASE_URL is wrong: an @ in its password is written as %40."),
        ("postgresql://u:ge@he/im@h/x", "DATABASE_URL is wrong: an @ in its password is written as %40."),
        ("postgresql://u:ge@he?i=m@h/x", "DATABASE_URL is wrong: an @ in its password is written as %40."),
        ("postgresql://u:gehei%00m@h/x", "DATABASE_URL is wrong: it holds a character that cannot be printed."),
        ("postgresql://u:geheim\udcff@h/x", "DATABASE_URL is wrong: it holds a character that cannot be printed."),
        ("postgresql:u:geheim@h/x", "DATABASE_URL is not the URL of a Postgres database."),
        (" ", "DATABASE_URL is empty."),
        ("host=h password=geheim", "DATABASE_URL is not the URL of a Postgres database."),
    ],
)
def test_what_is_wrong_with_a_url_is_a_sentence_without_it(text: str, said: str) -> None:
    with pytest.raises(StartupError) as raised:
        parse_url(text)
    assert said in str(raised.value)
    assert "geheim" not in str(raised.value)
    assert raised.value.__cause__ is None


def record(text: str, *args: object) -> logging.LogRecord:
    return logging.LogRecord("dbos", logging.INFO, "x.py", 1, text, args, None)


def failed(made: logging.LogRecord) -> logging.LogRecord:
    try:
        raise ValueError("postgresql://h/x?password=geheim")
    except ValueError as error:
        made.exc_info = (ValueError, error, error.__traceback__)
    return made


def test_a_log_hides_what_its_arguments_and_tracebacks_hold() -> None:
    made = failed(record("with %s", "postgresql://u:geheim@h/x"))
    assert "ValueError: postgresql://h/x?password=***" in LogLineFormatter().format(made)
    assert "geheim" not in LogLineFormatter().format(made).partition("Traceback")[0]


def test_a_log_in_json_hides_them_too_and_stays_json() -> None:
    made = failed(record("with %s and password=geheim", "postgresql://u:geheim@h/x"))
    made.api_token = "geheim"
    printed = LogLineFormatter(json_line).format(made)
    assert "geheim" not in printed.partition("Traceback")[0]
    line = json.loads(printed)
    assert line["message"] == "with postgresql://u:***@h/x and password=***"
    assert line["api_token"] == "***"
    assert "ValueError: postgresql://h/x?password=***" in line["exception"]


def test_a_stream_hides_what_anybody_writes_to_it() -> None:
    inner = io.StringIO()
    stream = PasswordHidingStream(inner)
    assert stream.write("postgresql://u:geheim@h/x\n") == 26
    stream.writelines(["a\n", "host=h password=geheim\n"])
    stream.flush()
    assert inner.getvalue() == "postgresql://u:***@h/x\na\nhost=h password=***\n"


COMMANDS = [["up", "--port", "0"], ["doctor"], ["workflows", "list"], ["restored", "--reason", "x"]]
COMMANDS += [["dbos", "workflow", "list"], ["dbos", "migrate"], ["demo"]]


PLACES = [
    "postgresql://u:gehei%6D-1@127.0.0.1:1/x",
    "postgresql://u@127.0.0.1:1/x?pass%77ord=gehei%6D-1&sslpassword=geheim-1&options=-c%20a.secret%3Dgeheim-1",
    "postgresql://u:geheim-1@127.0.0.1:1/x?what=geheim-1",
]


@pytest.mark.parametrize(
    ("command", "url"),
    [(each, PLACES[0]) for each in COMMANDS] + [(each, url) for each in COMMANDS[:1] for url in PLACES[1:]],
)
def test_no_command_shows_a_password(command: list[str], url: str) -> None:
    done = amends(*command, on=url, migration_url=url, database_wait_seconds=0.5, timeout=60)
    assert done.returncode != 0
    said = done.stdout + done.stderr
    assert said
    assert "geheim" not in said
    assert "gehei%6D" not in said
