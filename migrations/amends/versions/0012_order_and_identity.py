"""The order in which events are given is their order in the feed, and an id stands for one event."""

from migrations.amends.sql import statements

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    statements("0012_order_and_identity.sql")
