"""Which errors pass and which never will is decided by SQLSTATE alone, and the same for everybody."""

from __future__ import annotations

import re

import psycopg
import pytest
from psycopg.pq import DiagnosticField
from psycopg_pool import PoolTimeout

from app.amends.postgres.sqlstates import (
    ROUTINES,
    TABLE,
    Verdict,
    conflicting_version,
    is_version_conflict,
    log_text,
    message_of,
    spoils_session,
    verdict,
)

Sql = psycopg.Connection
A, M, S, B, C, L, N = (
    Verdict.AWAY,
    Verdict.MISSING,
    Verdict.SURPRISING,
    Verdict.BUSY,
    Verdict.CONTENDED,
    Verdict.SLOW,
    Verdict.NEVER,
)

VERDICTS = {
    "08000": (A, A), "08003": (A, A), "08006": (A, A), "08P01": (A, A),
    "0A000": (S, N), "20000": (N, N), "21000": (N, N), "22001": (N, N), "22P02": (N, N), "22P05": (N, N),
    "23502": (N, N), "23503": (N, N), "23505": (N, N), "23514": (N, N), "23P01": (N, N), "24000": (S, N),
    "25001": (S, N), "25006": (A, A), "25P01": (S, N), "25P02": (N, N), "25P03": (L, L), "25P04": (L, L),
    "26000": (S, C), "28000": (A, N), "28P01": (A, N), "2D000": (S, N), "3B001": (S, N), "3D000": (A, N),
    "3F000": (M, N), "40000": (B, C), "40001": (B, C), "40002": (B, C), "40003": (B, C), "40P01": (B, C),
    "42501": (M, N), "42601": (S, N), "42703": (M, N), "42704": (M, N), "42804": (S, N), "42883": (M, N),
    "42P01": (M, N), "42P05": (S, C), "44000": (N, N), "53000": (A, A), "53100": (A, A), "53200": (A, A),
    "53300": (A, A), "53400": (A, N), "54000": (N, N), "54001": (N, N), "55000": (S, N), "55006": (B, C),
    "55P03": (B, C), "57000": (A, A), "57014": (B, L), "57P01": (A, A), "57P02": (A, A), "57P03": (A, A),
    "57P04": (A, A), "57P05": (A, A), "58000": (A, C), "58030": (A, C), "58P01": (A, C), "72000": (B, C),
    "F0000": (S, N), "HV000": (S, N), "HV00N": (A, A), "P0001": (N, N), "P0002": (N, N), "P0004": (N, N),
    "XX000": (S, C), "XX001": (S, C), "XX002": (S, C), "MY001": (N, N),
}  # fmt: skip


def raised(sql: Sql, code: str) -> psycopg.Error:
    """An error as Postgres says it."""
    with pytest.raises(psycopg.Error) as found:
        sql.execute(f"do $$ begin raise exception E'one line\nand another' using errcode = '{code}'; end $$".encode())
    return found.value


def test_the_verdict_on_an_error_is_that_of_its_code(sql: Sql) -> None:
    for code, expected in VERDICTS.items():
        error = raised(sql, code)
        assert (code, verdict(error, ours=True), verdict(error, ours=False)) == (code, *expected)
        assert message_of(error) == "one line"


def test_the_table_knows_every_class_that_psycopg_does() -> None:
    classes = {
        code[:2] for code in psycopg.errors._sqlcodes if re.fullmatch(r"[0-9FHPX][0-9A-Z][0-9A-Z]{2}[0-9]", code)
    }
    assert len(classes) > 35
    assert classes <= TABLE.keys()
    assert list(TABLE) == sorted(TABLE)


def test_what_passes_is_never_counted_and_what_never_passes_is_tried_once() -> None:
    assert [each.tries for each in (A, M, S)] == [None] * 3
    assert N.tries == 1
    assert L.tries == 3
    assert C.tries == 20


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (psycopg.OperationalError("server closed the connection unexpectedly"), A),
        (psycopg.InterfaceError("the connection is closed"), A),
        (PoolTimeout("couldn't get a connection after 15.00 sec"), A),
        (ConnectionResetError(), A),
        (TimeoutError(), A),
        (psycopg.ProgrammingError("the query has 1 placeholders but 0 parameters were passed"), N),
        (psycopg.DataError("PostgreSQL text fields cannot contain NUL (0x00) bytes"), N),
        (UnicodeEncodeError("utf-8", "\ud800", 0, 1, "surrogates not allowed"), N),
        (ValueError("no"), N),
        (TypeError("no"), N),
    ],
    ids=lambda each: type(each).__name__,
)
def test_what_is_said_without_a_code_passes_if_there_was_no_connection(error: Exception, expected: Verdict) -> None:
    assert verdict(error, ours=True) is verdict(error, ours=False) is expected
    assert not spoils_session(error)


def made(code: str, **told: str) -> psycopg.Error:
    """An error with what Postgres tells beside its code."""
    fields = {DiagnosticField[name.upper()]: value.encode() for name, value in told.items()}
    return psycopg.errors.lookup(code)("made", info=fields)  # type: ignore[arg-type]


def test_a_cluster_without_transaction_ids_is_away_and_not_at_its_limit() -> None:
    for (code, routine), expected in ROUTINES.items():
        error = made(code, source_function=routine)
        assert (verdict(error, ours=True), verdict(error, ours=False)) == expected
    assert verdict(made("54000", source_function="index_form_tuple"), ours=True) is N


def test_an_error_that_ends_the_session_is_not_about_its_statement() -> None:
    assert verdict(made("28P01", severity_nonlocalized="FATAL"), ours=False) is A
    assert verdict(made("28P01", severity_nonlocalized="ERROR"), ours=False) is N
    assert verdict(made("25P03", severity_nonlocalized="FATAL"), ours=False) is L


@pytest.mark.parametrize("code", ["25006", "26000", "42P05", "XX000", "XX001"])
def test_what_may_stay_with_a_session_spoils_it(sql: Sql, code: str) -> None:
    assert spoils_session(raised(sql, code))
    assert not spoils_session(raised(sql, "40001"))


def test_a_table_that_changes_below_a_prepared_statement_spoils_the_session(sql: Sql) -> None:
    sql.execute("create table public.t (n int)")
    sql.execute("select * from public.t", prepare=True)
    sql.execute("do $$ begin alter table public.t add column m int; end $$")
    with pytest.raises(psycopg.errors.FeatureNotSupported) as found:
        sql.execute("select * from public.t", prepare=True)
    assert (verdict(found.value, ours=True), verdict(found.value, ours=False)) == (A, C)
    assert spoils_session(found.value)
    assert not spoils_session(raised(sql, "0A000"))


def test_a_version_that_is_there_already_means_that_others_were_first(sql: Sql) -> None:
    insert = (
        "insert into amends.events (id, stream, version, type, schema_version, data, metadata)"
        " values (gen_random_uuid(), %s, 1, 'it', 1, '{}', '{}')"
    )
    stream = "a (stream, version)=(b, 7)"
    sql.execute(insert, (stream,))
    with pytest.raises(psycopg.errors.UniqueViolation) as found:
        sql.execute(insert, (stream,))
    assert is_version_conflict(found.value)
    assert conflicting_version(found.value) == (stream, 1)
    assert (verdict(found.value, ours=True), verdict(found.value, ours=False)) == (B, N)
    untold = made("23505", schema_name="amends", constraint_name="events_stream_version_key")
    assert is_version_conflict(untold)
    assert conflicting_version(untold) is None
    assert not is_version_conflict(made("23505", schema_name="public", constraint_name="events_stream_version_key"))


def test_what_a_person_must_mend_is_said_so(sql: Sql) -> None:
    told = log_text(raised(sql, "42501"), M)
    assert told.startswith("the database lacks what Amends needs")
    assert told.endswith("one line (SQLSTATE 42501)")
    assert log_text(TimeoutError(), A) == "TimeoutError"
