"""The feed, streams, and the state of an aggregate at any time."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.amends.cli.project import AsJson, run_on_database
from app.amends.output.terminal import print_json, print_line

if TYPE_CHECKING:
    from app.amends.cli.command_context import CommandContext
    from app.amends.store.aggregates.time_travel import PointInTime
    from workflows.amends.ports.event_store import FeedCursor, StoredEvent

Name = Annotated[str, typer.Argument(metavar="STREAM")]
Version = Annotated[int | None, typer.Option(min=0, help="After the event with this version.")]
Position = Annotated[str | None, typer.Option(help="Up to this position, or token of a place in the feed.")]
At = Annotated[str | None, typer.Option(metavar="TIME", help="At an instant, such as 2026-01-31T12:00:00Z.")]


def events(
    after: str | None = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000)] = 100,
    type: str | None = None,
    stream: str | None = None,
    correlation_id: str | None = None,
    as_json: AsJson = False,
) -> None:
    """Show the feed: all events, in order."""

    async def look(context: CommandContext) -> None:
        from workflows.amends.ports.event_store import FeedFilter

        cursor = await context.events.parse_after(after)
        found = await context.events.feed(cursor, limit, FeedFilter(type, stream, correlation_id))
        await _print(context, found, cursor, as_json)

    run_on_database(look)


def stream(
    name: Name,
    after: str | None = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000)] = 1000,
    as_json: AsJson = False,
) -> None:
    """Show a stream, oldest event first."""

    async def look(context: CommandContext) -> None:
        cursor = await context.events.parse_after(after)
        await _print(context, await context.events.read_after(name, cursor, limit), cursor, as_json)

    run_on_database(look)


def state(
    name: Name, version: Version = None, position: Position = None, at: At = None, as_json: AsJson = False
) -> None:
    """Show the state of a stream's aggregate: now, or at a version, a position or an instant."""

    async def look(context: CommandContext) -> None:
        from app.amends.http.serialisation import state_json

        point = _point(version, position, at)
        aggregate = context.catalogue.aggregate(name)
        found = await context.history.state(aggregate, name, point)
        shown = await context.redactor.serialise_redacted(
            lambda: state_json(found, aggregate.category, context.redactor)
        )
        if as_json:
            print_json(shown)
            return
        print_line(
            f"{name} at version {found.version}, position {found.cursor}, recorded {found.recorded_at.isoformat()}"
        )
        print_json(shown["state"])

    run_on_database(look)


def difference(
    name: Name,
    from_version: Version = None,
    from_position: Position = None,
    from_at: At = None,
    to_version: Version = None,
    to_position: Position = None,
    to_at: At = None,
    as_json: AsJson = False,
) -> None:
    """Show the changes between two points; without a `from` since the beginning, without a `to` until now."""

    async def look(context: CommandContext) -> None:
        from app.amends.http.serialisation import difference_json

        begun = from_version is None and from_position is None and from_at is None
        before = _point(0 if begun else from_version, from_position, from_at)
        after = _point(to_version, to_position, to_at)
        aggregate = context.catalogue.aggregate(name)
        found = await context.history.difference(aggregate, name, before, after)
        shown = await context.redactor.serialise_redacted(
            lambda: difference_json(*found, aggregate.category, context.redactor)
        )
        if as_json:
            print_json(shown)
            return
        for change in shown["changes"]:
            print_line(f"{change['path'] or '/'}: {json.dumps(change['before'])} -> {json.dumps(change['after'])}")

    run_on_database(look)


def _point(version: int | None, position: str | None, at: str | None) -> PointInTime:
    from app.amends.store.aggregates.time_travel import PointInTime
    from domain.amends.errors import Invalid

    try:
        return PointInTime(version, position, datetime.fromisoformat(at) if at else None)
    except ValueError as error:
        if isinstance(error, Invalid):
            raise
        raise Invalid("at", "is no time; it looks like 2026-01-31T12:00:00Z") from error


async def _print(context: CommandContext, found: Sequence[StoredEvent], after: FeedCursor, as_json: bool) -> None:
    from app.amends.http.serialisation import page_json

    page: dict[str, Any] = await context.redactor.serialise_redacted(
        lambda: page_json(found, after, context.redactor), found
    )
    if as_json:
        print_json(page)
        return
    for event, shown in zip(found, page["events"], strict=True):
        at = event.recorded_at.strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]
        data = json.dumps(shown["data"]) + ("  (unknown here)" if shown["masked"] == "unknown" else "")
        print_line(f"{event.position:>8}  {at}  {event.stream} {event.version}  {event.name}  {data}")
