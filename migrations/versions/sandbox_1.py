"""The test-mode provider keeps its own books."""

from pathlib import Path

from alembic import op

revision = "sandbox_1"
down_revision = None
branch_labels = ("example",)


def upgrade() -> None:
    """Makes its tables; there are some already where they were made before this branch was one of its own."""
    there = op.get_bind().exec_driver_sql("select to_regclass('sandbox.calls') is not null").scalar_one()
    if not there:
        op.execute(Path(__file__).with_suffix(".sql").read_text(encoding="utf-8"))
