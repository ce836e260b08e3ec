"""The command line: serve, look, decide. It needs no running server; what it starts is taken by the next one."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from domain.errors import AmendsError, Invalid

if TYPE_CHECKING:
    from app.console import Console

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False, help=__doc__)
workflows = typer.Typer(no_args_is_help=True, help="Business processes: start, watch, decide.")
app.add_typer(workflows, name="workflows")

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Reason = Annotated[str, typer.Option(help="Why; it stays on record.")]
Id = Annotated[str, typer.Argument(metavar="ID")]


@app.command()
def up(
    port: Annotated[int, typer.Option(min=0, max=65535, help="Where to serve; 0 takes a free one.")] = 8000,
    host: Annotated[str, typer.Option(help="Which address to serve on.")] = "127.0.0.1",
) -> None:
    """Start the database if need be, migrate, and serve API and worker."""
    from app.settings import read_settings, require_guarded

    settings = read_settings()
    require_guarded(settings, host)
    from app.main import serve

    serve(settings, host, port)


@app.command()
def demo() -> None:
    """Play the main job in front of you: an order that succeeds, one that is undone, one that survives a kill."""
    from app.demo import play

    raise SystemExit(play())


@app.command()
def db_url() -> None:
    """Print the URL of the database in use."""
    from app.settings import read_settings
    from app.store.choose import embedded_postgres

    settings = read_settings()
    if settings.database_url is not None:
        print(settings.database_url)
        return
    embedded = embedded_postgres(settings.data_dir, settings.postgres_bin)
    if not embedded.answers():
        print("The embedded Postgres was started for this; the next server that stops will stop it.", file=sys.stderr)
    print(embedded.start())


@workflows.command("list")
def list_workflows(
    name: str | None = None,
    status: str | None = None,
    reference: str | None = None,
    correlation_id: str | None = None,
    limit: Annotated[int, typer.Option(min=1, max=1000)] = 50,
    as_json: AsJson = False,
) -> None:
    """Sagas, newest first."""

    async def look(console: Console) -> None:
        from app.http.shown import shown_row
        from app.store.overview import Filters

        rows, _ = await console.overview.page(Filters(name, status, reference, correlation_id), limit, None)
        if as_json:
            _print_json([shown_row(row) for row in rows])
            return
        for row in rows:
            at = row.started_at.strftime("%Y-%m-%d %H:%M:%S")
            print(f"{at}  {row.status:<12} {row.name:<16} {row.id:<38} {row.reference}  {row.reason or ''}".rstrip())

    _with_console(look)


@workflows.command("show")
def show_workflow(id: Id, as_json: AsJson = False) -> None:
    """One saga: how it stands, and its timeline."""

    async def look(console: Console) -> None:
        from app.http.shown import shown_saga
        from app.store.feed import START
        from app.timeline import lines, timeline
        from domain.errors import NotFound
        from workflows.story import stories

        found = await console.overview.saga(id)
        if found is None:
            raise NotFound("workflow", id)
        if as_json:
            _print_json(shown_saga(*found))
            return
        row, _, _ = found
        print(f"{row.name} version {row.version}, {row.reference or row.id}: {row.status}", end="")
        print(f", {row.reason}" if row.reason else "")
        events, _ = await console.feed.stream(stories.stream(id), START, 10_000)
        for line in lines(timeline(events)):
            print(line)

    _with_console(look)


@workflows.command("start")
def start_workflow(
    name: str,
    given: Annotated[str, typer.Argument(metavar="INPUT", help="The input as JSON, or - to read it.")],
    id: Annotated[str | None, typer.Option(help="The same id and input start it once.")] = None,
    as_json: AsJson = False,
) -> None:
    """Queue a saga for the next free server."""

    async def start(console: Console) -> None:
        from workflows.codec import read

        definition = console.desk.newest(name).definition
        request = read(_parsed(sys.stdin.read() if given == "-" else given), definition.input)
        started, _ = await console.desk.start(console.desk.order(name, request, id, console.cause))
        print(json.dumps(vars(started)) if as_json else started.id)

    _with_console(start)


@workflows.command("retry")
def retry_workflow(id: Id, reason: Reason) -> None:
    """Let a stuck saga try again what it could not do."""
    _with_console(lambda console: console.desk.act(id, "retry", reason, console.cause))


@workflows.command("skip")
def skip_workflow(id: Id, reason: Reason) -> None:
    """Let a stuck saga go on without what it could not do."""
    _with_console(lambda console: console.desk.act(id, "skip", reason, console.cause))


@workflows.command("resolve")
def resolve_workflow(
    id: Id,
    reason: Reason,
    result: Annotated[str, typer.Option(help="What the step came to, as JSON, if the next steps need it.")] = "null",
) -> None:
    """Say that what a stuck saga could not do was done by hand."""
    _with_console(lambda console: console.desk.act(id, "resolve", reason, console.cause, _parsed(result)))


@app.command()
def events(
    after: str | None = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000)] = 100,
    type: str | None = None,
    stream: str | None = None,
    correlation_id: str | None = None,
    as_json: AsJson = False,
) -> None:
    """The global feed, in order."""

    async def look(console: Console) -> None:
        place = await console.feed.place(after)
        rows, reached = await console.feed.events(place, limit, type, stream, correlation_id)
        _print_events(rows, str(reached), as_json)

    _with_console(look)


@app.command()
def stream(
    name: str,
    after: str | None = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000)] = 1000,
    as_json: AsJson = False,
) -> None:
    """One stream, oldest first."""

    async def look(console: Console) -> None:
        rows, reached = await console.feed.stream(name, await console.feed.place(after), limit)
        _print_events(rows, str(reached), as_json)

    _with_console(look)


@app.command()
def doctor(as_json: AsJson = False) -> None:
    """Look at the database, the executors and the sagas, and say what is wrong."""

    async def look(console: Console) -> None:
        from app.doctor import examine

        findings = await examine(console.reader)
        if as_json:
            _print_json([vars(finding) for finding in findings])
        else:
            for finding in findings:
                print(f"{'ok  ' if finding.well else 'LOOK'}  {finding.what}: {finding.found}")
        if not all(finding.well for finding in findings):
            raise SystemExit(1)

    _with_console(look)


def _with_console(use: Callable[[Console], Awaitable[None]]) -> None:
    """Open the database in use, and migrate it if it is new."""
    from app.settings import read_settings

    settings = read_settings()
    from app.console import console
    from app.main import prepare
    from app.store.choose import database

    async def run() -> None:
        async with console(url) as opened:
            await use(opened)

    with database(settings.database_url, settings.data_dir, settings.postgres_bin) as url:
        prepare(url)
        asyncio.run(run())


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise Invalid("input", f"is not JSON: {error}") from error


def _print_events(rows: list[dict[str, Any]], reached: str, as_json: bool) -> None:
    from app.http.shown import shown_event

    if as_json:
        _print_json({"events": [shown_event(row) for row in rows], "next": reached})
        return
    for row in rows:
        at = row["recorded_at"].strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]
        print(f"{row['position']:>8}  {at}  {row['stream']} {row['version']}  {row['type']}  {json.dumps(row['data'])}")


def _print_json(data: Any) -> None:
    print(json.dumps(data, indent=2))


def main() -> None:
    """Run a command; our own errors are told in words, without a traceback."""
    try:
        app()
    except AmendsError as error:
        print(f"{error}", file=sys.stderr)
        raise SystemExit(1) from None
