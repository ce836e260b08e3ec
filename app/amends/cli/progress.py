"""Progress on the terminal: a counter, and a bar for a build of a read model that is filled here or by a server."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from rich.console import Console as Screen
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)

from app.amends.output.terminal import print_error_line
from domain.amends.errors import Conflict
from workflows.amends.ports.projection_builds import BuildTarget, LeaseLost, ProjectionBuild
from workflows.amends.projections.runner import Runner
from workflows.amends.values.printable import escaped

if TYPE_CHECKING:
    from app.amends.cli.command_context import CommandContext

LOOK_SECONDS = 0.25
LINE_SECONDS = 5.0


async def rebuild_with_progress(context: CommandContext, name: str, quiet: bool) -> ProjectionBuild:
    """Start a rebuild, or go on with one that was started; returns its build once it has caught up.

    Raises Conflict, with the reason, if it cannot go on.
    """
    found = next((each for each in await context.builds.all(name) if each.state == "building"), None)
    build = found or await _begin(context, name)
    if (build.name, build.version) not in context.builds.known:
        raise Conflict("version", f"{name} build {build.build} is of version {build.version}, whose code is not here.")
    with _bar(quiet) as progress:
        task = progress.add_task(escaped(name), total=None, rate="")
        _show(progress, task, build)
        working: asyncio.Task[None] | None = None
        try:
            while build.caught_up_at is None:
                if build.free and (working is None or working.done()):
                    working = asyncio.create_task(_work(context, build))
                await asyncio.sleep(LOOK_SECONDS)
                build = await context.builds.get(name, build.build)
                _show(progress, task, build)
                if build.failure and build.free:
                    raise Conflict("failing", f"{name} build {build.build} cannot be filled: {build.failure}")
        finally:
            if working:
                await asyncio.gather(working, return_exceptions=True)
    return build


async def _begin(context: CommandContext, name: str) -> ProjectionBuild:
    begun = await context.administration.rebuild(name, context.cause)
    return await context.builds.get(name, begun["build"])


async def _work(context: CommandContext, build: ProjectionBuild) -> None:
    projection = context.builds.known[build.name, build.version]
    token = f"cli-{os.getpid()}/{uuid4().hex[:8]}"
    target = BuildTarget(build.name, build.build)
    with suppress(LeaseLost):  # a server was quicker: it is watched
        await Runner(projection, target, context.builds.store, context.feed_notifier, token).catch_up()


def _show(progress: Progress, task: TaskID, build: ProjectionBuild) -> None:
    total = max(build.expected, build.events) if build.expected else None  # None: not counted yet
    progress.update(task, total=total, completed=build.events, rate=f"{_rate(build):,.0f} events/s")


def _rate(build: ProjectionBuild) -> float:
    until = build.moved_at or build.started_at
    return build.events / max((until - build.started_at).total_seconds(), 0.001)


def _bar(quiet: bool) -> Any:
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    return Progress(*columns, console=Screen(stderr=True), disable=quiet)


@contextmanager
def counting(what: str, quiet: bool, total: int | None = None) -> Iterator[Callable[[int], None]]:
    """A counter on the terminal, advanced by the function that it yields; a bar where the `total` is known.

    Where standard error is no terminal, such a count is a line every few seconds.
    """
    if total is not None and not quiet and not sys.stderr.isatty():
        yield _lines(what, total)
        return
    columns: Sequence[ProgressColumn] = (
        TextColumn("{task.description}", markup=False),
        TextColumn("{task.completed:,.0f}"),
    )
    if total is not None:
        columns = (columns[0], BarColumn(), MofNCompleteColumn(), TextColumn("left"), TimeRemainingColumn())
    with Progress(*columns, console=Screen(stderr=True), disable=quiet) as progress:
        task = progress.add_task(escaped(what), total=total)
        yield lambda rows: progress.update(task, completed=rows)


def _lines(what: str, total: int) -> Callable[[int], None]:
    """Says a count on lines of their own, the first after a while."""
    said_at = time.monotonic()

    def count(rows: int) -> None:
        nonlocal said_at
        if time.monotonic() - said_at >= LINE_SECONDS:
            said_at = time.monotonic()
            print_error_line(f"{what}: {rows:,} of {total:,}")

    return count
