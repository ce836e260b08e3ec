"""Errors that keep a read model from going on: about one row, about its table, or of a database that is away."""

from __future__ import annotations

import psycopg

from app.amends.postgres.sqlstates import (
    Verdict,
    ends_session,
    is_about_value,
    is_raised_by_function,
    is_rolled_back,
    message_of,
    spoils_session,
    sqlstate,
    verdict,
)
from domain.amends.errors import AmendsError
from workflows.amends.projections import failures


def is_about_row(error: BaseException) -> bool:
    """Whether an error of a write is about a row, so that others may go on; Python's errors about values are."""
    if sqlstate(error) is None:
        return is_about_value(error)
    return verdict(error, ours=True) is Verdict.NEVER or is_raised_by_function(error)


def is_about_table(error: BaseException) -> bool:
    """Whether an error is about the table, for any row; one that is about neither passes by itself."""
    return not is_about_row(error) and (verdict(error, ours=True).is_alarming or _is_answered(error))


def is_database_away(error: BaseException) -> bool:
    """Whether the database is away: the error did not come as an answer, and the same is tried again."""
    return verdict(error, ours=True) is not Verdict.NEVER and not is_about_row(error) and not is_about_table(error)


def may_pass(error: BaseException) -> bool:
    """Whether an error that a table or a row is blamed for may pass in a moment, such as a deadlock."""
    return (verdict(error, ours=True) is Verdict.AWAY or is_rolled_back(error)) and not is_database_away(error)


def _is_answered(error: BaseException) -> bool:
    """Whether the database answered with it on a connection that stands: it is there, whatever the error is called."""
    return sqlstate(error) is not None and not ends_session(error) and not spoils_session(error)


def failure_text(error: Exception) -> str:
    """The reason why a build is not followed, in a line that is the same at each try."""
    if isinstance(error, psycopg.Error):
        advice = "; it goes on by itself once that is mended" if is_about_table(error) else ""
        return failures.storable_text(f"{message_of(error)} (SQLSTATE {sqlstate(error)}){advice}")
    return failures.failure_text(error)


class PostgresErrors:
    """The meaning of errors of a store of read models in Postgres."""

    def is_store_away(self, error: BaseException) -> bool:
        return is_database_away(error)

    def is_about_row(self, error: BaseException) -> bool:
        return is_about_row(error)

    def is_expected(self, error: BaseException) -> bool:
        return isinstance(error, psycopg.Error | AmendsError)

    def one_line_message(self, error: BaseException) -> str:
        return message_of(error)

    def failure_reason(self, error: Exception) -> str:
        return failure_text(error)
