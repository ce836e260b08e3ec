"""The table of code that was checked against the unfinished sagas of a database."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from app.amends.postgres.sql_files import load_statements
from app.amends.postgres.statements.committer import Committer
from app.amends.postgres.statements.reader import Reader

SQL: Final = load_statements(Path(__file__).with_name("checked_code.sql"))
PATIENCE: Final = 10.0


class CheckedCode:
    """What is known of one version of the code."""

    def __init__(self, committer: Committer, reader: Reader, code: str) -> None:
        self._committer, self._reader, self.code = committer, reader, code

    async def is_checked(self) -> bool:
        """Whether the unfinished sagas were checked against it. Raises Unavailable."""
        ((checked,),) = await self._reader.tuples(SQL["is_checked"], (self.code,))
        return bool(checked)

    async def claim(self, executor: str) -> bool:
        """Whether this executor is the one to check them. Raises Unavailable."""
        return bool(await self._committer.run(SQL["claim"], {"code": self.code, "executor": executor}, PATIENCE))

    async def note_checked(self) -> None:
        """Note that they were checked. Waits while the database is away."""
        await self._committer.run(SQL["note_checked"], (self.code,))
