"""Sagas that wait for a provider that is down: rows that nobody runs, and whose status stays what it was."""

from migrations.amends.running import statements

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    statements("0011_awaited_providers.sql")
