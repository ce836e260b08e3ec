"""Shows one saga to a person: how it stands, its timeline, and what happens to it while it is watched."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final

from rich.console import Console as Screen
from rich.live import Live
from rich.text import Text

from app.amends.cli.command_context import CommandContext
from app.amends.cli.timeline.drawing import drawn_lines
from app.amends.cli.timeline.entries import timeline_entries, timeline_lines
from app.amends.cli.timeline.rows import timeline_rows
from app.amends.http.serialisation import event_json
from app.amends.output.terminal import has_unicode, print_error_line, print_line, terminal_size
from app.amends.store.sagas.summaries import SagaSummary
from domain.amends.errors import NotFound, Unavailable
from workflows.amends.history import FINISHED, saga_histories
from workflows.amends.ports.event_store import StoredEvent
from workflows.amends.values.printable import escaped

LOOK_SECONDS: Final = 0.5
GOES_ON: Final = ("queued", "running", "compensating")


@dataclass
class SagaView:
    """One saga as it is known so far; `look` adds what has happened since."""

    context: CommandContext
    id: str
    events: list[dict[str, Any]] = field(default_factory=list)
    row: SagaSummary | None = None
    reason: str | None = None

    async def look(self) -> SagaSummary:
        """Read how it stands, and then its events: of what a row says nothing is missing. Raises NotFound."""
        row = await self.context.overview.row(self.id)
        if row is None:
            raise NotFound("workflow", self.id)
        redactor, self.row = self.context.redactor, row
        self.reason = await redactor.serialise_redacted(lambda: redactor.reason(row.reason, self.id), sagas=[self.id])
        while found := await self.context.events.read(saga_histories.stream(self.id), after=len(self.events)):
            self.events += await redactor.serialise_redacted(partial(_shown, found, self.context), found)
        return row

    async def look_patiently(self) -> SagaSummary:
        """Do the same as often as it takes until the database answers, and say once that it does not."""
        away = False
        while True:
            try:
                row = await self.look()
            except Unavailable:
                if not away:
                    print_error_line("The database does not answer: this waits for it, and Ctrl-C ends it.")
                away = True
            else:
                if away:
                    print_error_line("The database answers again.")
                return row

    def head(self) -> str:
        """What it is, and how it stands."""
        assert self.row is not None
        why = f", {self.reason}" if self.reason else ""
        row = self.row
        return escaped(f"{row.name} version {row.version}, {row.reference or row.id}: {row.status}{why}")

    def drawn(self) -> Iterator[str]:
        """The timeline as wide as the terminal; what still lasts goes on until now."""
        assert self.row is not None
        now = None if needs_nobody_watching(self.row.status) else datetime.now(UTC)
        if timeline := timeline_rows(self.events, now):
            yield from drawn_lines(timeline, terminal_size().columns, has_unicode())

    def lines(self) -> list[str]:
        """The events, a line each."""
        return [*timeline_lines(timeline_entries(self.events))]


def needs_nobody_watching(status: str) -> bool:
    """Whether a saga does not go on by itself: it is finished, or a person has to act."""
    return status not in (*GOES_ON, "waiting") or status in FINISHED


async def show_saga(view: SagaView, events: bool) -> None:
    """Print a saga once: with its events a line each, or drawn."""
    await view.look()
    for line in (view.head(), *(view.lines() if events else view.drawn())):
        print_line(line)


async def watch_saga(view: SagaView) -> None:
    """Follow a saga until it does not go on by itself: drawn anew on a terminal, else each event as it comes."""
    if not sys.stdout.isatty():
        await _print_as_it_comes(view)
        return
    screen = Screen(highlight=False)
    with Live(console=screen, auto_refresh=False, transient=True) as live:
        while not needs_nobody_watching((await view.look_patiently()).status):
            room = max(terminal_size().lines - 3, 1)
            live.update(Text("\n".join([view.head(), *[*view.drawn()][-room:]])), refresh=True)
            await asyncio.sleep(LOOK_SECONDS)
    for line in (view.head(), *view.drawn()):
        print_line(line)


async def _print_as_it_comes(view: SagaView) -> None:
    printed, over = 0, False
    while not over:
        over = needs_nobody_watching((await view.look_patiently()).status)
        lines = view.lines()
        for line in lines[printed:]:
            print_line(line)
        printed = len(lines)
        if not over:
            await asyncio.sleep(LOOK_SECONDS)
    print_line(view.head())


def _shown(events: Sequence[StoredEvent], context: CommandContext) -> list[dict[str, Any]]:
    return [event_json(event, context.redactor) for event in events]
