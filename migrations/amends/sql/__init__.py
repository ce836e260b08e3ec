"""The hand-written SQL of the migrations, one file each."""

from pathlib import Path

from alembic import op


def statements(file: str) -> None:
    """Run one file as it is, in the migration's transaction."""
    driver = op.get_bind().connection.driver_connection
    assert driver is not None
    driver.execute((Path(__file__).parent / file).read_text(encoding="utf-8"))
