"""Checks that DBOS's tables have the columns that our functions write, before anything runs."""

from __future__ import annotations

import psycopg
from sqlalchemy import URL

from app.amends.postgres.urls import connection_settings, conninfo
from domain.amends.errors import StartupError

WRITTEN = {
    "workflow_status": {
        "workflow_uuid": "text",
        "status": "text",
        "name": "text",
        "executor_id": "text",
        "created_at": "bigint",
        "updated_at": "bigint",
        "started_at_epoch_ms": "bigint",
        "application_version": "text",
        "application_id": "text",
        "recovery_attempts": "bigint",
        "queue_name": "text",
        "priority": "integer",
        "serialization": "text",
        "creator_xid": "text",
        "owner_xid": "text",
        "application_name": "text",
        "forked_from": "text",
        "completed_at": "bigint",
        "parent_workflow_id": "text",
    },
    "workflow_input": {"workflow_uuid": "text", "inputs": "text", "retention_timestamp": "bigint"},
    "workflow_output": {"workflow_uuid": "text", "output": "text", "error": "text", "retention_timestamp": "bigint"},
    "operation_outputs": {
        "workflow_uuid": "text",
        "function_id": "integer",
        "function_name": "text",
        "output": "text",
        "error": "text",
        "started_at_epoch_ms": "bigint",
        "completed_at_epoch_ms": "bigint",
        "serialization": "text",
        "retention_timestamp": "bigint",
        "application_name": "text",
    },
}
"""The columns of DBOS that our functions write or compare, with their types."""

COLUMNS = """
select table_name, column_name, data_type, is_nullable = 'NO' and column_default is null as required
  from information_schema.columns where table_schema = 'dbos' and table_name = any (%s::text[])
"""

REMEDY = "Install the DBOS version that pyproject.toml names, on a database that no newer one has migrated."


def require_known_dbos_schema(url: URL, newest_migration: int) -> None:
    """Raise StartupError if DBOS's tables are missing, newer than the installed DBOS, or of another layout."""
    with psycopg.connect(conninfo(url), **connection_settings(url, "check")) as connection:
        rows = connection.execute(COLUMNS, (list(WRITTEN),)).fetchall()
        if not rows:
            raise StartupError("The database has no tables of DBOS.", "Start with ./run up, which migrates.")
        row = connection.execute("select max(version) from dbos.dbos_migrations").fetchone()
    if row and row[0] is not None and row[0] > newest_migration:
        raise StartupError(
            f"The database was migrated by a newer DBOS ({row[0]}, known is {newest_migration}).", REMEDY
        )
    found = {(table, column): kind for table, column, kind, _ in rows}
    for table, columns in WRITTEN.items():
        for column, kind in columns.items():
            if found.get((table, column)) != kind:
                has = found.get((table, column), "missing")
                raise StartupError(f"DBOS's tables have another layout: {table}.{column} is {has}, not {kind}.", REMEDY)
    for table, column, _, required in rows:
        if required and column not in WRITTEN[table]:
            raise StartupError(
                f"DBOS's tables have another layout: {table}.{column} must be given and is unknown.", REMEDY
            )
