"""What was really done, counted afterwards from the provider's books and from the event table."""

from __future__ import annotations

from collections import Counter
from typing import Any

import psycopg

INVERSE = {"refund": "charge", "release": "hold", "cancel": "book"}


def net_effects(connection: psycopg.Connection, reference: str) -> dict[str, int]:
    """How often each action was done for a reference, less how often it was undone."""
    rows = connection.execute(
        "select operation, count(*) from sandbox.effects where reference = %s group by 1", (reference,)
    ).fetchall()
    net: Counter[str] = Counter()
    for operation, count in rows:
        net[INVERSE.get(str(operation), str(operation))] += -count if operation in INVERSE else count
    return {operation: count for operation, count in net.items() if count}


def doubled_keys(connection: psycopg.Connection) -> int:
    """Effects that were noted more than once under one key."""
    row = connection.execute(
        "select count(*) from (select from sandbox.effects group by idempotency_key having count(*) > 1) as doubled"
    ).fetchone()
    return int(row[0]) if row else -1


def pending(connection: psycopg.Connection) -> int:
    """Effects that are still to come."""
    row = connection.execute("select count(*) from sandbox.pending").fetchone()
    return int(row[0]) if row else -1


def told(connection: psycopg.Connection, saga: str, reference: str) -> list[Any]:
    """The events of a saga and of its order, without ids, receipts and times."""
    rows = connection.execute(
        "select stream, version, type, data from amends.events where stream in (%s, %s) order by stream desc, version",
        (f"saga-{saga}", f"order-{reference}"),
    ).fetchall()
    return [
        (stream.split("-")[0], version, type, _plain(data, {saga: "ID", reference: "ID"}))
        for stream, version, type, data in rows
    ]


def unanswered(connection: psycopg.Connection) -> set[str]:
    """Sagas that a busy machine did not answer in time: how they end is the same, how they come there is not."""
    rows = connection.execute(
        "select distinct substr(stream, 6) from amends.events where stream like 'saga-%' and"
        " (data #>> '{error,name}' in ('TimeoutError', 'ProviderDown')"
        "  or data #>> '{error,message}' ~ ': 50[03] ' or data #>> '{error,facts,problem}' = 'ReadError')"
    ).fetchall()
    return {str(id) for (id,) in rows}


def _plain(data: Any, known: dict[str, str]) -> Any:
    """Data without what differs between two runs: times, and the ids that the provider or we make up."""
    if isinstance(data, dict):
        return {
            name: _plain(value, known)
            for name, value in data.items()
            if name not in ("started_at", "next_at", "arguments", "receipt_id", "parcel_id") and not _made_up(value)
        }
    if isinstance(data, list):
        return [_plain(item, known) for item in data]
    return known.get(data, data) if isinstance(data, str) else data


def _made_up(value: Any) -> bool:
    return isinstance(value, str) and value[:3] in ("ch_", "bo_", "ho_")
