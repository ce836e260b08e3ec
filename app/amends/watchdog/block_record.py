"""Records of blocks in the database, from the moment when an event loop is blocked."""

from __future__ import annotations

import json
from typing import Any, Final

from app.amends.watchdog.output import log, send_report
from workflows.amends.clocks import clock

PAUSE_SECONDS: Final = 1.0
"""How long the database is left alone after it has not answered."""
QUIET_SECONDS: Final = 10.0
"""How long the same complaint is not repeated."""


class BlockRecord:
    """Records in the database; those that it does not take at once are written again until it does."""

    def __init__(self, given: dict[str, Any]) -> None:
        self._given = given
        self._connection: Any = None
        self._due: list[dict[str, Any]] = []
        self._to_clear = False
        self._again_at = self._quiet_until = 0.0
        self._complaint = ""

    def connect(self) -> None:
        """Connect, if the database lets us in."""
        if self._connection is not None and not self._connection.closed:
            return
        if clock() < self._again_at:
            return
        import psycopg

        try:
            self._connection = psycopg.connect(self._given["url"], **self._given["connect"])
        except psycopg.Error as error:
            self._failed("The watchdog does not reach the database", error)

    def note_suspect(self, told: dict[str, Any]) -> bool:
        """Note who blocks: another executor that ends this one puts it on record. False if the database does not
        answer."""
        noted = self._ask(self._blocked(told), False) is not None
        self._to_clear = self._to_clear and not noted
        return noted

    def record_block(self, told: dict[str, Any]) -> bool:
        """Put on record who has blocked, and report it. False if the database does not answer."""
        if self._ask(self._blocked(told), True) is None:
            return False
        send_report({"what": "recorded"} | told)
        return True

    def record_block_later(self, told: dict[str, Any]) -> None:
        """Put on record who has blocked, as soon as the database answers."""
        self._due.append(told)

    def clear_note(self) -> None:
        """Remove the note, later if need be: the block is over, or was not the fault of the noted saga."""
        self._to_clear = True
        self.write_pending()

    def write_pending(self) -> None:
        """Write what the database has not taken before."""
        while self._due and self.record_block(self._due[0]):
            del self._due[0]
        if self._to_clear and not self._due and self._ask(None, False) is not None:
            self._to_clear = False

    def is_ended(self) -> bool:
        """Whether this executor was ended."""
        found = self._run("select ended_at is not null from amends.executors where id = %s", (self._given["executor"],))
        return bool(found and found[0])

    def _blocked(self, told: dict[str, Any]) -> dict[str, Any]:
        data = {name: told[name] for name in ("step", "seconds", "stack")} | {"executor": self._given["executor"]}
        metadata = {"actor": "amends", "executor": self._given["executor"]}
        event = self._given["event"] | {"id": told["id"], "data": data, "metadata": metadata}
        return {"saga": told["saga"], "events": [event | {"stream": f"saga-{told['saga']}"}]}

    def _ask(self, blocked: dict[str, Any] | None, final: bool) -> Any:
        text = None if blocked is None else json.dumps(blocked)
        return self._run("select amends.note_blocked(%s, %s::jsonb, %s)", (self._given["executor"], text, final))

    def _run(self, statement: str, parameters: tuple[Any, ...]) -> Any:
        """The row of a statement, None if the database does not answer."""
        self.connect()
        if self._connection is None or self._connection.closed or clock() < self._again_at:
            return None
        try:
            return self._connection.execute(statement, parameters).fetchone()
        except Exception as error:
            self._connection.close()
            self._failed("The watchdog could not say what blocks", error)
            return None

    def _failed(self, what: str, error: Exception) -> None:
        self._again_at = clock() + PAUSE_SECONDS
        complaint = f"{what}: {str(error).strip().partition(chr(10))[0]}"
        if complaint != self._complaint or clock() > self._quiet_until:
            self._complaint, self._quiet_until = complaint, clock() + QUIET_SECONDS
            log("WARNING", complaint)
