"""Brakes: operators hold sagas of a type, a version, a step or a provider, so that nothing new of it begins."""

from migrations.amends.running import functions, statements

revision = "0024"
down_revision = "0023"
oldest_server = "0020"


def upgrade() -> None:
    statements("0024_brakes.sql")
    functions("start_brake", "must_begin", "is_held", "hold_starts")
    statements("0024_functions_gone.sql")
