"""The event store, the sagas, the executors, and the functions that write them."""

from migrations.amends.running import functions, statements

revision = "0001"
down_revision = None


def upgrade() -> None:
    functions("refuse_change")
    statements("0001_event_store.sql")
