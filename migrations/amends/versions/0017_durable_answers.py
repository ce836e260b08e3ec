"""An answer is as durable as a first one, runs of the server have names, and a place says which event stands there."""

from migrations.amends.running import statements

revision = "0017"
down_revision = "0016"


def upgrade() -> None:
    statements("0017_durable_answers.sql")
