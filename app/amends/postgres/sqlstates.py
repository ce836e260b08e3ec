"""SQLSTATEs: which errors of Postgres pass by themselves and which never do is decided here, for every statement."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from enum import Enum, StrEnum

import psycopg

SLOW_TRIES = 3
"""How often a statement may exceed its time limit: each try costs as long as that limit."""
CONTENDED_TRIES = 20
"""How often a statement may be blocked by others. With the waits between them, that takes a quarter of a minute at
least."""
LARGE = 256 * 1024
"""Characters of parameters from which on a statement that exceeds its time limit is taken to be slow by itself."""


class Sqlstate(StrEnum):
    """The codes that are told apart by name. TABLE says what each of them means for another try."""

    PROTOCOL_VIOLATION = "08P01"
    UNIQUE_VIOLATION = "23505"
    READ_ONLY = "25006"
    IN_FAILED_TRANSACTION = "25P02"
    DEPENDENT_OBJECTS = "2BP01"
    INVALID_SCHEMA_NAME = "3F000"
    INSUFFICIENT_PRIVILEGE = "42501"
    UNDEFINED_COLUMN = "42703"
    UNDEFINED_OBJECT = "42704"
    WRONG_OBJECT_TYPE = "42809"
    UNDEFINED_FUNCTION = "42883"
    UNDEFINED_TABLE = "42P01"
    DUPLICATE_TABLE = "42P07"
    LOCK_NOT_AVAILABLE = "55P03"
    QUERY_CANCELED = "57014"


class Verdict(Enum):
    """The meaning of an error for another try of the same statement."""

    AWAY = "away"
    """The database is absent, restarting, full or read-only. No statement is to blame, however long that takes."""
    MISSING = "missing"
    """It lacks a right, a table or a function that Amends needs; once an operator has added it, statements succeed
    again."""
    SURPRISING = "surprising"
    """A statement of Amends itself failed as it never should. No saga is to blame for that either."""
    BUSY = "busy"
    """Others blocked a statement of Amends itself. It is short and locks in one order: it is tried again without
    end."""
    CONTENDED = "contended"
    """Others blocked SQL of a team, which may bring that on itself: it is tried again, and counted."""
    SLOW = "slow"
    """It exceeded its time limit by its own doing: it is tried again, and counted."""
    NEVER = "never"
    """It fails in the same way each time."""

    @property
    def tries(self) -> int | None:
        """The number of tries that may end so, the first one included; None is without end."""
        return {Verdict.CONTENDED: CONTENDED_TRIES, Verdict.SLOW: SLOW_TRIES, Verdict.NEVER: 1}.get(self)

    @property
    def is_alarming(self) -> bool:
        """Whether it lasts until an operator does something: it is logged at once, and as an error."""
        return self in (Verdict.MISSING, Verdict.SURPRISING)


_AWAY, _MISSING, _SURPRISING = Verdict.AWAY, Verdict.MISSING, Verdict.SURPRISING
_BUSY, _CONTENDED, _SLOW, _NEVER = Verdict.BUSY, Verdict.CONTENDED, Verdict.SLOW, Verdict.NEVER

TABLE: Mapping[str, tuple[Verdict, Verdict]] = {
    # Appendix A of Postgres' manual, in its order. First what an error means in a statement of Amends itself, then in
    # the SQL of a user. A whole code goes before its class. What only a function or a trigger of a user can raise never
    # passes in a statement of ours either; nor does a code that the appendix does not know.
    "01": (_SURPRISING, _NEVER),  #      warning
    "02": (_SURPRISING, _NEVER),  #      no data
    "03": (_SURPRISING, _NEVER),  #      SQL statement not yet complete
    "08": (_AWAY, _AWAY),  #             connection exception
    "09": (_NEVER, _NEVER),  #           triggered action exception
    "0A": (_SURPRISING, _NEVER),  #      feature not supported (but see ROUTINES)
    "0B": (_SURPRISING, _NEVER),  #      invalid transaction initiation
    "0F": (_SURPRISING, _NEVER),  #      locator exception
    "0L": (_SURPRISING, _NEVER),  #      invalid grantor
    "0P": (_SURPRISING, _NEVER),  #      invalid role specification
    "0Z": (_SURPRISING, _NEVER),  #      diagnostics exception
    "10": (_SURPRISING, _NEVER),  #      XQuery error
    "20": (_NEVER, _NEVER),  #           case not found
    "21": (_NEVER, _NEVER),  #           cardinality violation
    "22": (_NEVER, _NEVER),  #           data exception
    "23": (_NEVER, _NEVER),  #           integrity constraint violation (but see `overtaken`)
    "24": (_SURPRISING, _NEVER),  #      invalid cursor state
    "25": (_SURPRISING, _NEVER),  #      invalid transaction state
    "25006": (
        _AWAY,
        _AWAY,
    ),  #              read-only (but see app.amends.store.sagas.own_sql: a step can make itself so)
    "25P02": (_NEVER, _NEVER),  #            in a failed transaction: an error before this one says why
    "25P03": (_SLOW, _SLOW),  #              idle in a transaction: its code did something else for too long
    "25P04": (_SLOW, _SLOW),  #              transaction timeout
    "26": (_SURPRISING, _CONTENDED),  #  invalid SQL statement name: a pooler's session has lost what was prepared
    "27": (_NEVER, _NEVER),  #           triggered data change violation
    "28": (_AWAY, _NEVER),  #            invalid authorization specification: nobody is let in
    "2B": (_SURPRISING, _NEVER),  #      dependent privilege descriptors still exist
    "2D": (_SURPRISING, _NEVER),  #      invalid transaction termination
    "2F": (_NEVER, _NEVER),  #           SQL routine exception
    "34": (_SURPRISING, _NEVER),  #      invalid cursor name
    "38": (_NEVER, _NEVER),  #           external routine exception
    "39": (_NEVER, _NEVER),  #           external routine invocation exception
    "3B": (_SURPRISING, _NEVER),  #      savepoint exception
    "3D": (_AWAY, _NEVER),  #            invalid catalog name: there is no such database
    "3F": (_MISSING, _NEVER),  #         invalid schema name
    "40": (_BUSY, _CONTENDED),  #        transaction rollback: serialization failure, deadlock
    "42": (_SURPRISING, _NEVER),  #      syntax error or access rule violation
    "42501": (_MISSING, _NEVER),  #          insufficient privilege
    "42703": (_MISSING, _NEVER),  #          undefined column
    "42704": (_MISSING, _NEVER),  #          undefined object
    "42883": (_MISSING, _NEVER),  #          undefined function
    "42P01": (_MISSING, _NEVER),  #          undefined table
    "42P05": (_SURPRISING, _CONTENDED),  #   duplicate prepared statement: another of a pooler's
    "44": (_NEVER, _NEVER),  #           WITH CHECK OPTION violation
    "53": (_AWAY, _AWAY),  #             insufficient resources: disk full, out of memory, too many connections
    "53400": (_AWAY, _NEVER),  #             a limit of the session's own: it needs more temporary files than it may
    "54": (_NEVER, _NEVER),  #           program limit exceeded: too long for an index (but see ROUTINES)
    "55": (_SURPRISING, _NEVER),  #      object not in prerequisite state
    "55006": (_BUSY, _CONTENDED),  #         object in use
    "55P03": (_BUSY, _CONTENDED),  #         lock not available
    "57": (_AWAY, _AWAY),  #             operator intervention: shutdown, crash, starting up
    "57014": (_BUSY, _SLOW),  #              query canceled: the statement's limit of time, or somebody's cancel
    "58": (_AWAY, _CONTENDED),  #        system error outside Postgres: a disk that fails
    "72": (_BUSY, _CONTENDED),  #        snapshot failure (until Postgres 16)
    "F0": (_SURPRISING, _NEVER),  #      configuration file error
    "HV": (_SURPRISING, _NEVER),  #      foreign data wrapper error
    "HV00N": (_AWAY, _AWAY),  #              unable to establish connection
    "P0": (_NEVER, _NEVER),  #           PL/pgSQL error: a trigger or a function of a user raises something
    "XX": (_SURPRISING, _CONTENDED),  #  internal error
}

ROUTINES: Mapping[tuple[str, str], tuple[Verdict, Verdict]] = {
    # What shares its code with something else is told by the function of Postgres that says it; texts are translated.
    ("0A000", "RevalidateCachedQuery"): (_AWAY, _CONTENDED),  # a table changed below a prepared statement
    ("54000", "GetNewTransactionId"): (
        _AWAY,
        _AWAY,
    ),  # no transaction ids are left before a vacuum: as good as read-only
    ("54000", "GetNewMultiXactId"): (_AWAY, _AWAY),  # the same for row locks
    ("42501", "ExecWithCheckOptions"): (_NEVER, _NEVER),  # a row that a policy of its table does not take
}

RAISE = "exec_stmt_raise"
"""The function of Postgres for PL/pgSQL's RAISE."""
SPOILING = ("25006", "26", "42P05", "XX")
"""Classes and codes of errors that may come from the session itself: a read-only session remains one."""

_VERSION_TAKEN = re.compile(r"\(stream, version\)=\((.+), (\d+)\)", re.DOTALL)


def verdict(error: BaseException, ours: bool) -> Verdict:
    """The verdict on an error of a statement: one of Amends itself (`ours`), or SQL of a team.

    An error without a SQLSTATE is not from the server: no connection came about or one was lost, or the values cannot
    be sent.
    """
    code = sqlstate(error)
    if code is None:
        absent = isinstance(error, psycopg.OperationalError | psycopg.InterfaceError | OSError)
        return Verdict.AWAY if absent else Verdict.NEVER
    if ours and is_version_conflict(error):
        return Verdict.BUSY
    pair = ROUTINES.get((code, _routine(error))) or TABLE.get(code) or TABLE.get(code[:2], (_NEVER, _NEVER))
    found = pair[0 if ours else 1]
    return Verdict.AWAY if ends_session(error) and found is Verdict.NEVER else found


def verdict_by_size(error: BaseException, ours: bool, large: bool) -> Verdict:
    """The same for a statement that has much to write (`large`), or not: a large one that exceeds its limit is slow by
    itself."""
    found = verdict(error, ours)
    return Verdict.SLOW if large and found is Verdict.BUSY and sqlstate(error) == Sqlstate.QUERY_CANCELED else found


def is_large(parameters: Sequence[object] | Mapping[str, object]) -> bool:
    """Whether a statement with these parameters has much to write."""
    given = parameters.values() if isinstance(parameters, Mapping) else parameters
    return sum(len(each) for each in given if isinstance(each, str)) > LARGE


def sqlstate(error: BaseException) -> str | None:
    """The SQLSTATE of an error; None if the database did not say it."""
    return error.sqlstate if isinstance(error, psycopg.Error) else None


def spoils_session(error: BaseException) -> bool:
    """Whether the next try needs another connection, although this one is not lost."""
    code = sqlstate(error) or ""
    return code.startswith(SPOILING) or (code, _routine(error)) == ("0A000", "RevalidateCachedQuery")


def ends_session(error: BaseException) -> bool:
    """Whether the server ends the session with this error."""
    return isinstance(error, psycopg.Error) and error.diag.severity_nonlocalized in ("FATAL", "PANIC")


def is_raised_by_function(error: BaseException) -> bool:
    """Whether a function or a trigger raised it, by whatever code it chose."""
    return _routine(error) == RAISE


def is_rolled_back(error: BaseException) -> bool:
    """Whether others were in the way of a transaction, such as in a deadlock: the same may succeed in a moment."""
    return (sqlstate(error) or "").startswith("40")


def is_about_value(error: BaseException) -> bool:
    """Whether an error is about a value that a type does not take, raised by the database, psycopg, or Python."""
    return isinstance(error, psycopg.DataError | ValueError | RecursionError | Warning)


def is_duplicate(error: BaseException) -> bool:
    """Whether something with this name or id is there already; in the table of a read model that is about its rows."""
    if not isinstance(error, psycopg.Error) or error.sqlstate != Sqlstate.UNIQUE_VIOLATION:
        return False
    return error.diag.schema_name != "views"


def _routine(error: BaseException) -> str:
    """The function of Postgres that raised it."""
    return (error.diag.source_function or "") if isinstance(error, psycopg.Error) else ""


def is_version_conflict(error: BaseException) -> bool:
    """Whether another transaction wrote the next version of a stream first.

    A transaction that locks a stream before it reads its last version sees it, except in a snapshot older than the
    lock.
    """
    if sqlstate(error) != Sqlstate.UNIQUE_VIOLATION or not isinstance(error, psycopg.Error):
        return False
    if error.diag.schema_name != "amends":
        return False
    return error.diag.constraint_name == "events_stream_version_key" or conflicting_version(error) is not None


def conflicting_version(error: psycopg.Error) -> tuple[str, int] | None:
    """The stream and the version that exist already, if the error names them."""
    found = _VERSION_TAKEN.search(error.diag.message_detail or "")
    return (found[1], int(found[2])) if found else None


def message_of(error: BaseException) -> str:
    """The first line of an error; values that Postgres quotes stand in those below."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def log_text(error: BaseException, found: Verdict) -> str:
    """An error for the log, with the remedy where an operator has to do something."""
    code = sqlstate(error)
    shown = f"{message_of(error)} (SQLSTATE {code})" if code else message_of(error)
    if found is Verdict.MISSING:
        return f"the database lacks what Amends needs, and all goes on once it is there (a migration adds it): {shown}"
    return f"this should not happen: {shown}" if found is Verdict.SURPRISING else shown
