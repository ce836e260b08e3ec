"""What is printed steers no terminal and forges no line, whatever somebody wrote into ids, names, reasons and data."""

from __future__ import annotations

import io
import json
import logging
import os
import subprocess
import sys
import unicodedata
import uuid
from contextlib import redirect_stderr, redirect_stdout
from typing import Any

import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.amends.cli.timeline.entries import timeline_entries, timeline_lines
from app.amends.output.log_lines import LogLineFormatter
from app.amends.output.log_rendering import json_line
from app.amends.output.terminal import print_json, print_line
from app.amends.postgres.embedded.server import EmbeddedPostgres
from app.amends.postgres.urls import conninfo
from app.amends.watchdog.output import log
from tests.amends.harness.databases import fresh_database
from tests.example.server import ROOT, order

SAMPLES = ROOT / "tests" / "samples"
STEERING = ("Cc", "Cf", "Cs", "Zl", "Zp")
"""The categories of Unicode that hold controls, changes of direction, lone surrogates and line separators."""
OF_SAGAS = sorted(file.name.split(".")[0] for file in SAMPLES.glob("*.1.json") if "set-aside" not in file.name)
HOSTILE = (
    "\x1b[31mred\x1b]0;title\x07 \u202eevil\u2069\u200f\u061c\r\n2026-01-01 forged\x85\u2028line\u2029\x9b1A"
    "[bold]x[/bold]\x7f"
)
text = st.text(st.characters(), max_size=40) | st.sampled_from([HOSTILE, "", "ä ö", "👍"])


def steering(printed: str) -> list[str]:
    """What of it is not plain text of one line."""
    return [part for part in printed if unicodedata.category(part) in STEERING]


def as_lines(printed: str) -> list[str]:
    """Its lines, which are plain: nothing but our own ends of lines is in it."""
    assert printed.endswith("\n") or not printed
    found = printed.split("\n")[:-1]
    assert steering("".join(found)) == []
    return found


@given(text)
@settings(max_examples=200)
def test_a_text_is_one_plain_line(hostile: str) -> None:
    said, printed = io.StringIO(), io.StringIO()
    with redirect_stdout(said):
        print_line(hostile)
    with redirect_stdout(printed):
        print_json({hostile: [hostile]}, indent=None)
    assert len(as_lines(said.getvalue())) == 1
    assert len(as_lines(printed.getvalue())) == 1
    assert json.loads(printed.getvalue()) == {hostile: [hostile]}
    assert printed.getvalue().isascii()
    if hostile.isprintable():
        assert said.getvalue() == f"{hostile}\n"


@pytest.mark.parametrize("kind", OF_SAGAS)
def test_a_timeline_is_a_plain_line_for_each_event(kind: str) -> None:
    data = spoilt(json.loads((SAMPLES / f"{kind}.1.json").read_text()))
    event = {"recorded_at": "2026-01-01T00:00:00Z", "type": kind, "data": data, "metadata": {"executor": HOSTILE}}
    (line,) = timeline_lines(timeline_entries([event | {"metadata": {"workflow_id": HOSTILE, "executor": HOSTILE}}]))
    assert steering(line) == []


def spoilt(data: Any) -> Any:
    """Plain data with other texts in it."""
    if isinstance(data, dict):
        return {name: spoilt(value) for name, value in data.items()}
    if isinstance(data, list):
        return [spoilt(value) for value in data]
    return HOSTILE if isinstance(data, str) else data


@given(text, text)
def test_a_record_of_the_log_is_one_line_and_what_stands_below_it(hostile: str, error: str) -> None:
    made = logging.LogRecord("x", logging.WARNING, "x.py", 1, "it said %s", (hostile,), raised(error))
    made.below = hostile
    head, *below = LogLineFormatter().format(made).split("\n")
    assert steering("".join([head, *below])) == []
    assert " WARNING x: it said " in head
    assert all(line.startswith("    ") for line in below)


@given(text, text)
def test_a_record_as_json_is_one_line_of_ascii_and_says_all_of_it(hostile: str, error: str) -> None:
    made = logging.LogRecord("x", logging.WARNING, "x.py", 1, "it said %s", (hostile,), raised(error))
    made.below = made.reference = hostile
    printed = LogLineFormatter(json_line).format(made)
    assert printed.isascii()
    assert printed.isprintable()
    line = json.loads(printed)
    assert line["message"] == f"it said {hostile}"
    assert (line["reference"], line.get("below", "")) == (hostile, hostile)
    assert "ValueError" in line["exception"]


@given(text, text)
def test_a_line_of_the_watchdog_is_one_line_and_the_stack_below_it(hostile: str, stack: str) -> None:
    said = io.StringIO()
    with redirect_stderr(said):
        log("ERROR", hostile, stack)
    head, *below = as_lines(said.getvalue())
    assert " ERROR amends.watchdog: " in head
    assert all(line.startswith("    ") for line in below)


def raised(text: str) -> Any:
    """What a logger is told of an error, as with `exc_info=True`."""
    try:
        raise ValueError(text)
    except ValueError:
        return sys.exc_info()


COMMANDS = [
    ["workflows", "start", "place-order", json.dumps(order(HOSTILE)), "--id", "o-1"],
    ["workflows", "cancel", "o-1", "--reason", HOSTILE],
    ["workflows", "list"],
    ["workflows", "list", "--json"],
    ["workflows", "show", "o-1"],
    ["workflows", "show", "o-1", "--events"],
    ["workflows", "show", HOSTILE],
    ["workflows", "retry", HOSTILE, "--reason", HOSTILE],
    ["workflows", "list", "--status", HOSTILE],
    ["workflows", "start", HOSTILE, "{}"],
    ["workflows", "start", "place-order", json.dumps({HOSTILE: HOSTILE})],
    ["workflows", HOSTILE],
    ["events"],
    ["events", "--json"],
    ["events", "--after", HOSTILE],
    ["events", "--limit", HOSTILE],
    ["stream", f"x-{HOSTILE}"],
    ["stream", f"x-{HOSTILE}", "--json"],
    ["state", HOSTILE],
    ["state", "account-1", "--at", HOSTILE],
    ["projections", "list", HOSTILE],
    ["projections", "verify", HOSTILE],
    ["doctor"],
    ["doctor", "--json"],
    [f"--{HOSTILE}"],
]
MAIN = """
import json, sys
from app.amends.cli.main import main
for arguments in json.loads(sys.argv[1]):
    sys.argv[1:] = arguments
    try:
        main()
    except SystemExit:
        sys.stderr.flush()
    print(end="\\0", flush=True)
"""


@pytest.fixture(scope="module")
def printed(postgres_18: EmbeddedPostgres) -> dict[str, str]:
    """What each command prints on both streams, where whatever can be is hostile."""
    url = conninfo(fresh_database(postgres_18))
    with psycopg.connect(url) as sql:
        made_hostile(sql)
    ran = subprocess.run(
        [sys.executable, "-c", MAIN, json.dumps(COMMANDS)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=os.environ | {"DATABASE_URL": url},
        cwd=ROOT,
        check=True,
    )
    return dict(zip(map(str, COMMANDS), ran.stdout.decode().split("\0"), strict=False))


def made_hostile(sql: psycopg.Connection) -> None:
    """Put rows where the service's own checks would not let them through, as other programs might."""
    opened = (SAMPLES / "account-opened.1.json").read_text()
    rows = [("account-1", "account-opened", opened), (f"x-{HOSTILE}", HOSTILE, json.dumps({HOSTILE: HOSTILE}))]
    for stream, kind, data in rows:
        sql.execute(
            "insert into amends.events (id, stream, version, type, schema_version, data, metadata)"
            " values (%s, %s, 1, %s, 1, %s, %s)",
            (uuid.uuid4(), stream, kind, data, json.dumps({"actor": HOSTILE})),
        )
    sql.execute(
        "insert into amends.sagas (id, name, version, root, reference, status, reason, correlation_id, request)"
        " values (%(x)s, %(x)s, 1, %(x)s, %(x)s, 'stuck', %(x)s, %(x)s, '')",
        {"x": HOSTILE},
    )
    sql.execute(
        "insert into amends.executors (id, machine, pid, born, kinds, lease_until)"
        " values (%s, 'm', 1, 1, '{}', now() - interval '1 hour')",
        (HOSTILE,),
    )
    sql.execute(
        "insert into amends.outages (executor, provider, down_since, error) values (%(x)s, %(x)s, now(), %(x)s)",
        {"x": HOSTILE},
    )


@pytest.mark.parametrize("command", [*map(str, COMMANDS)], ids=range(len(COMMANDS)))
def test_a_command_prints_plain_lines(printed: dict[str, str], command: str) -> None:
    said = as_lines(printed[command])
    assert said
    assert not any(line.startswith("2026-01-01 forged") for line in said)
    assert not any("Traceback" in line for line in said)
    if "--json" in command:
        assert HOSTILE in texts(json.loads(printed[command]))


def texts(data: Any) -> str:
    """All text in plain JSON data."""
    if isinstance(data, dict):
        return "".join(texts(part) for pair in data.items() for part in pair)
    return "".join(map(texts, data)) if isinstance(data, list) else str(data)
