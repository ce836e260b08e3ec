"""Nothing any more: the tables of the test-mode provider are in the example's own branch."""

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Leaves everything as it is; a database that was made before has these tables already."""
