"""Moves instances of a saga to another version of its code, and says which stay, and why."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from domain.amends.errors import Conflict, NotFound

if TYPE_CHECKING:
    from app.amends.cli.command_context import CommandContext

EXAMPLES: Final = 5
"""How many ids are kept for each reason."""
TOGETHER: Final = 50
"""How many instances are replayed at the same time."""


@dataclass
class Kept:
    """Instances that stay with their version for the same reason; `examples` are ids of some."""

    reason: str
    count: int = 0
    examples: list[str] = field(default_factory=list)


@dataclass
class MigrationReport:
    """What became of the instances of a saga that were to be moved to a version, or what would."""

    name: str
    version: int
    dry_run: bool
    moved: int = 0
    kept: dict[str, Kept] = field(default_factory=dict)

    def note_kept(self, id: str, problem: str) -> None:
        """Count an instance that stays."""
        reason = problem.removeprefix(f"Workflow {id} ").rstrip(".")
        known = self.kept.setdefault(reason, Kept(reason))
        known.count += 1
        if len(known.examples) < EXAMPLES:
            known.examples.append(id)

    def lines(self) -> Iterator[str]:
        """The report in words."""
        words = "would be moved" if self.dry_run else "moved"
        yield f"{self.name}: {self.moved} {words} to version {self.version}."
        for each in self.kept.values():
            more = "" if each.count <= len(each.examples) else " …"
            yield f"  {each.count} not, which {each.reason}"
            yield f"    {', '.join(each.examples)}{more}"

    def json(self) -> dict[str, Any]:
        """The same as plain JSON data."""
        kept = [vars(each) for each in self.kept.values()]
        return {
            "name": self.name,
            "version": self.version,
            "dry_run": self.dry_run,
            "moved": self.moved,
            "kept": kept,
        }


async def migrate_instances(
    context: CommandContext, name: str, version: int, ids: Sequence[str], reason: str, dry_run: bool
) -> MigrationReport:
    """Move these instances, or all that are not finished. Raises NotFound and Invalid before any is moved."""
    migrations, report = context.migrations, MigrationReport(name, version, dry_run)
    migrations.require_version(name, version)
    for id in ids:
        row = await context.overview.row(id)
        if row is None or row.name != name:
            raise NotFound("workflow", id, f"It is no {name}." if row else "")

    async def move(id: str) -> None:
        try:
            if dry_run:
                await migrations.require_movable(id, version)
            else:
                await migrations.migrate(id, version, reason, context.cause)
        except Conflict as kept:
            report.note_kept(id, kept.problem)
        except NotFound:
            report.note_kept(id, f"Workflow {id} is gone by now.")
        else:
            report.moved += 1

    async for page in _pages(context, name, version, ids):
        await asyncio.gather(*map(move, page))
    return report


async def _pages(context: CommandContext, name: str, version: int, ids: Sequence[str]) -> AsyncIterator[Sequence[str]]:
    """The ids of those that are to be moved, some at a time."""
    for at in range(0, len(ids), TOGETHER):
        yield ids[at : at + TOGETHER]
    if ids:
        return
    after = ""
    while page := await context.migrations.others(name, version, after):
        yield page
        after = page[-1]
