"""What needs a person, by cause: suspended sagas, long waits, and dead letters of read models."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from app.amends.postgres.sql_files import load_statements
from app.amends.postgres.statements.reader import Reader
from workflows.amends.causes.failure_cause import CauseKind, FailureCause
from workflows.amends.causes.normalised_error import normalised

SQL = load_statements(Path(__file__).with_name("causes.sql"))
MOST_COUNTED: Final = 10_000
"""So many are counted; that there are more is said beside that."""
EXAMPLES: Final = 5
MOST_GROUPS: Final = 1_000
"""So many groups are shown, the largest ones."""
MOST_LETTERS: Final = 1_000
"""So many dead letters of a read model are looked at."""
ACTS: Final[dict[CauseKind, tuple[str, ...]]] = {
    "stuck": ("retry", "skip", "resolve", "cancel"),
    "stranded": ("cancel",),
    "abandoned": ("compensate", "resume"),
    "provider": ("cancel",),
    "brake": ("cancel",),
    "read-model": ("retry", "skip"),
}
"""What an operator can do about those of a group."""


@dataclass(frozen=True)
class CauseGroup:
    """Those that have a cause in common; `more` says that there are more than `count`, `since` is of the first one.

    The examples are ids of sagas, or keys of a read model, that have it for longest.
    """

    cause: FailureCause
    count: int
    more: bool
    since: datetime
    examples: tuple[str, ...]
    acts: tuple[str, ...]


class CauseGroups:
    """Reads of causes; who waits for a provider, or at a brake, needs a person after `long_wait` seconds."""

    def __init__(self, reader: Reader, long_wait: float) -> None:
        self._reader, self._long_wait = reader, long_wait

    async def all(self) -> list[CauseGroup]:
        """All groups, the largest first, and of equal ones the oldest."""
        limits = {"limit": MOST_COUNTED + 1, "examples": EXAMPLES}
        suspended = await self._reader.rows(SQL["suspended"], limits)
        awaiting = await self._reader.rows(SQL["awaiting"], limits | {"seconds": self._long_wait})
        held = await self._reader.rows(SQL["held"], limits | {"seconds": self._long_wait})
        letters = await self._reader.rows(SQL["dead_letters"], {"letters": MOST_LETTERS + 1})
        found = [*map(_of_sagas, [*suspended, *awaiting, *held]), *_of_letters(letters)]
        return sorted(found, key=lambda group: (-group.count, group.since, group.cause.id))[:MOST_GROUPS]


def _of_sagas(row: dict[str, Any]) -> CauseGroup:
    count, since, examples, compensating = (row.pop(each) for each in ("count", "since", "examples", "compensating"))
    cause = FailureCause(**row)
    acts = tuple(act for act in ACTS[cause.kind] if act != "cancel" or not compensating)
    return CauseGroup(cause, min(count, MOST_COUNTED), count > MOST_COUNTED, since, tuple(examples), acts)


def _of_letters(rows: list[dict[str, Any]]) -> Iterator[CauseGroup]:
    by_cause, of_model = dict[FailureCause, list[dict[str, Any]]](), dict[tuple[str, int], int]()
    for row in rows:
        model = row["name"], row["version"]
        of_model[model] = of_model.get(model, 0) + 1
        by_cause.setdefault(FailureCause("read-model", *model, error=normalised(row["error"])), []).append(row)
    for cause, letters in by_cause.items():
        more = of_model[cause.name, cause.version] > MOST_LETTERS
        examples = tuple(each["key"] for each in letters[:EXAMPLES])
        yield CauseGroup(cause, len(letters), more, letters[0]["since"], examples, ACTS[cause.kind])
