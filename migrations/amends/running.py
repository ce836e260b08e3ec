"""How the hand-written SQL of the migrations is run: one file for what each changes, and one for each function."""

from __future__ import annotations

import hashlib
from pathlib import Path

from alembic import op

HERE = Path(__file__).parent
FUNCTIONS = HERE / "functions"


def statements(file: str) -> None:
    """Runs one file as it is, in the migration's transaction."""
    _run((HERE / "sql" / file).read_text(encoding="utf-8"))


def functions(*names: str) -> None:
    """Makes functions that a migration, or a table that it changes, needs; each as it is today."""
    for name in names:
        _run((FUNCTIONS / f"{name}.sql").read_text(encoding="utf-8"))


def functions_in_force() -> str:
    """All functions, in one piece of SQL that may run in any order: what a body names is not looked up meanwhile."""
    files = (each.read_text(encoding="utf-8") for each in sorted(FUNCTIONS.glob("*.sql")))
    return "set local check_function_bodies = off;\n" + "\n".join(files)


def digest(*texts: bytes) -> str:
    """What two that apply the same have in common."""
    return hashlib.sha256(b"\0".join(texts)).hexdigest()


def _run(sql: str) -> None:
    driver = op.get_bind().connection.driver_connection
    assert driver is not None
    driver.execute(sql)
