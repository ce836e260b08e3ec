"""The command line: serve, look, decide. It needs no running server; what it starts is taken by the next one."""

from __future__ import annotations

import os
import signal
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import typer
import typer.core

from app.commands import history
from app.commands.opened import AsJson
from app.commands.projections import projections
from app.commands.schema import schema
from app.commands.workflows import Reason, workflows
from app.log_lines import indented
from app.passwords import hidden, veil
from app.terminal import complain, print_json, say
from domain.errors import AmendsError, Unusable
from workflows.said import escaped


class Commands(typer.core.TyperGroup):
    """All commands; what somebody typed is escaped where an error repeats it."""

    def make_context(self, *args: Any, **more: Any) -> Any:
        """Read what stands before a command."""
        with _escaping():
            return super().make_context(*args, **more)

    def invoke(self, *context: Any) -> Any:
        """Read the rest, and run the command."""
        with _escaping():
            return super().invoke(*context)


@contextmanager
def _escaping() -> Iterator[None]:
    try:
        yield
    except typer.TyperException as wrong:
        wrong.message = escaped(wrong.message)
        raise


app = typer.Typer(
    cls=Commands, add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False, help=__doc__
)
app.add_typer(workflows, name="workflows")
app.add_typer(projections, name="projections")
app.add_typer(schema, name="schema")
for command in (history.events, history.stream, history.state, history.difference):
    app.command()(command)


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
    from app.store.urls import conninfo, parse_url

    settings = read_settings()
    if settings.database_url is not None:
        say(conninfo(parse_url(settings.database_url)))
        return
    embedded = embedded_postgres(settings.data_dir, settings.postgres_bin)
    if not embedded.answers():
        complain("The embedded Postgres was started for this; the next server that stops will stop it.")
    embedded.admit()
    say(embedded.owner_url)


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True}, add_help_option=False)
def dbos(context: typer.Context) -> None:
    """DBOS's own command line on the same database, as the owner of its tables."""
    from importlib.metadata import entry_points

    from app.settings import read_settings
    from app.store.choose import database
    from app.store.urls import conninfo
    from workflows.durable.runtime import refuse_pickles

    settings = read_settings()
    veil("stdout")
    refuse_pickles()
    (entry,) = entry_points(group="console_scripts", name="dbos")
    chosen = database(settings.database_url, settings.owner_url, settings.data_dir, settings.postgres_bin)
    with chosen as access:
        os.environ["DBOS_SYSTEM_DATABASE_URL"] = conninfo(access.owner)
        sys.argv[:] = ["dbos", *context.args]
        entry.load()(prog_name="dbos")


@app.command()
def doctor(as_json: AsJson = False) -> None:
    """Look at the database, the executors and the sagas, and say what is wrong; nothing is changed, nor migrated."""
    import asyncio
    import logging

    from app.catalogue import catalogue
    from app.doctor import examine
    from app.settings import read_settings
    from app.store.choose import database

    logging.getLogger("amends").setLevel(logging.CRITICAL)  # whatever is tried again stands among the findings
    settings = read_settings()
    chosen = database(settings.database_url, settings.owner_url, settings.data_dir, settings.postgres_bin)
    with chosen as access:
        findings = asyncio.run(examine(access.service, catalogue().projections))
    if as_json:
        print_json([vars(finding) for finding in findings])
    else:
        for finding in findings:
            say(f"{'ok  ' if finding.well else 'LOOK'}  {finding.what}: {finding.found}")
    if not all(finding.well for finding in findings):
        raise SystemExit(1)


@app.command()
def restored(reason: Reason) -> None:
    """After a backup was restored: let every event from now on come after all those before. Stop all servers first."""
    from app.settings import read_settings
    from app.store.choose import database
    from app.store.generations import open_generation

    settings = read_settings()
    chosen = database(settings.database_url, settings.owner_url, settings.data_dir, settings.postgres_bin)
    with chosen as access:
        number = open_generation(access.owner, reason)
    say(f"Generation {number} of the feed is open.")


def main() -> None:
    """Run a command; our own errors are told in words, without a traceback, and SIGTERM ends it as SIGINT does."""
    signal.signal(signal.SIGTERM, _terminated)
    veil("stderr")
    try:
        app()
    except AmendsError as error:
        _complain(error)
        raise SystemExit(1) from None
    except Exception as error:
        from app.store.usable import in_words

        if (told := in_words(error)) is not None:
            _complain(told)
        else:
            sys.stderr.write(indented(traceback.format_exc()) + "\n")
        raise SystemExit(1) from None


def _complain(error: AmendsError) -> None:
    told = hidden(f"{error}")
    for line in told.expandtabs().splitlines() if isinstance(error, Unusable) else [told]:
        complain(line)


def _terminated(number: int, _: object) -> None:
    """End, and stop a database that was started for this; a second signal does not interrupt that."""
    signal.signal(number, signal.SIG_IGN)
    raise SystemExit(128 + number)
