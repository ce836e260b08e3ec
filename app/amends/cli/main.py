"""The command line: serve, look, decide. No server need run; sagas that it starts are taken by the next one."""

from __future__ import annotations

import logging
import os
import signal
import sys
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Annotated, Any

import typer
import typer.core

from app.amends.cli import history
from app.amends.cli.exit_status import failure_status
from app.amends.cli.help.examples import ProgramContext, add_examples
from app.amends.cli.moving import rewrite_imports
from app.amends.cli.own_commands import own_commands
from app.amends.cli.project import AsJson, database_in_use, has_project, project_service, project_settings
from app.amends.cli.projections import projections
from app.amends.cli.sagas.brakes import brake
from app.amends.cli.schema import schema
from app.amends.cli.versions import commands as versions
from app.amends.cli.workflows import workflows
from app.amends.output.log_rendering import indented_lines
from app.amends.output.lost_output import checked_output
from app.amends.output.terminal import print_error_line, print_json, print_line
from app.amends.output.typed_commands import as_typed
from app.amends.scaffold.commands import new, upgrade
from app.amends.security.passwords import hide_passwords_in_streams, without_secrets
from domain.amends.errors import AmendsError, DefinitionError, Invalid, StartupError
from workflows.amends.values.printable import escaped, shortened

LINES = 100
"""Lines that are shown of the beginning and of the end of a long traceback."""


class Commands(typer.core.TyperGroup):
    """All commands; text of the user that an error repeats is escaped."""

    context_class = ProgramContext

    def get_command(self, context: Any, name: str) -> Any:
        """One of Amends' own commands, or else one of the project's."""
        return super().get_command(context, name) or (_own().get(name) if has_project() else None)

    def list_commands(self, context: Any) -> list[str]:
        """The names of both."""
        try:
            own = _own() if has_project() else {}
        except StartupError:  # it is said by the command that needs them
            own = {}
        return [*super().list_commands(context), *own]

    def make_context(self, *args: Any, **more: Any) -> Any:
        """Read what stands before a command."""
        with _escaping():
            return super().make_context(*args, **more)

    def invoke(self, *context: Any) -> Any:
        """Read the rest, and run the command."""
        with _escaping():
            return super().invoke(*context)


@cache
def _own() -> dict[str, Any]:
    """The project's own commands, by name. Raises StartupError, also for wrong ones."""
    return own_commands(project_service().commands, typer.main.get_group(app).commands)


@contextmanager
def _escaping() -> Iterator[None]:
    try:
        yield
    except typer.TyperException as wrong:
        wrong.message = escaped(wrong.message)
        raise


app = typer.Typer(cls=Commands, no_args_is_help=True, pretty_exceptions_enable=False, help=__doc__)
workflows.command("version")(versions.version)
workflows.command("migrate")(versions.migrate)
app.add_typer(workflows, name="workflows")
app.add_typer(brake, name="brake")
app.add_typer(projections, name="projections")
app.add_typer(schema, name="schema")
for command in (history.events, history.stream, history.state, history.difference, new, rewrite_imports, upgrade):
    app.command()(command)


@app.command()
def up(
    port: Annotated[int, typer.Option(min=0, max=65535, help="Where to serve; 0 takes a free one.")] = 8000,
    host: Annotated[str, typer.Option(help="Which address to serve on.")] = "127.0.0.1",
) -> None:
    """Start the database if need be, migrate, and serve API and worker."""
    from app.amends.scaffold.repository import ASIDE, left_by_upgrade
    from app.amends.settings import require_tokens_if_public

    if told := left_by_upgrade(Path.cwd()):
        print_error_line(f"{told}. To put them aside: {ASIDE}")
    service, settings = project_service(), project_settings()
    _own()  # wrong ones are refused before anything is started
    require_tokens_if_public(settings, host)
    from app.amends.server.serve import serve

    serve(service, settings, host, port)


@app.command()
def db_url() -> None:
    """Print the URL of the database in use."""
    settings = project_settings()
    from app.amends.postgres.database_in_use import make_embedded_postgres
    from app.amends.postgres.urls import conninfo, parse_url

    if settings.database_url is not None:
        print_line(conninfo(parse_url(settings.database_url)))
        return
    embedded = make_embedded_postgres(settings.data_dir, settings.postgres_bin, project_service().database_name)
    if not embedded.answers():
        print_error_line("The embedded Postgres was started for this; the next server that stops will stop it.")
    embedded.start_with_logins()
    print_line(embedded.owner_url)


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True}, add_help_option=False)
def dbos(context: typer.Context) -> None:
    """DBOS's own command line on the same database, as the owner of its tables."""
    from importlib.metadata import entry_points

    from app.amends.postgres.urls import conninfo
    from workflows.amends.dbos.runtime import refuse_pickles

    hide_passwords_in_streams("stdout")
    refuse_pickles()
    (entry,) = entry_points(group="console_scripts", name="dbos")
    with database_in_use() as access:
        os.environ["DBOS_SYSTEM_DATABASE_URL"] = conninfo(access.owner)
        sys.argv[:] = ["dbos", *context.args]
        entry.load()(prog_name="dbos")


@app.command()
def doctor(
    port: Annotated[int, typer.Option(min=1, max=65535, help="The port that a server is to use, or uses.")] = 8000,
    host: Annotated[str, typer.Option(help="The address that it is to serve on.")] = "127.0.0.1",
    as_json: AsJson = False,
) -> None:
    """Look at this machine, the project, the database, the executors and the sagas, and say what is wrong.

    Nothing is changed, nor migrated. The exit status is 1 if a line says fail.
    """
    from app.amends.cli.doctor import examine

    logging.getLogger("amends").setLevel(logging.CRITICAL)  # whatever is tried again stands among the findings
    findings = []
    for finding in examine(host, port):
        finding = replace(finding, found=as_typed(finding.found), fix=as_typed(finding.fix))
        findings.append(finding)
        if not as_json:
            print_line(str(finding))
    if as_json:
        print_json([finding.as_json() for finding in findings])
    if any(finding.status == "fail" for finding in findings):
        raise SystemExit(1)


@app.command()
def restored(reason: Annotated[str, typer.Option(help="Why; it stays on record.")]) -> None:
    """After a backup was restored: open a new generation of the feed. Stop all servers first."""
    from app.amends.postgres.generations import open_generation

    with database_in_use() as access:
        number = open_generation(access.owner, reason)
    print_line(f"Generation {number} of the feed is open.")


def main() -> None:
    """Run a command; our own errors are printed in words, without a traceback, and SIGTERM ends it as SIGINT does."""
    signal.signal(signal.SIGTERM, _terminated)
    logging.getLogger("psycopg.pool").setLevel(logging.ERROR)  # a command says itself that its database is away
    hide_passwords_in_streams("stderr")
    try:
        with checked_output():
            _require_text(sys.argv[1:])
            add_examples(typer.main.get_command(app))(prog_name="amends")
    except BrokenPipeError:  # whoever reads has seen enough
        raise SystemExit(failure_status.get()) from None
    except AmendsError as error:
        _complain(error)
        raise SystemExit(failure_status.get()) from None
    except Exception as error:
        from app.amends.postgres.checks.server_usability import startup_error

        if (text := startup_error(error)) is not None:
            _complain(text)
        else:
            sys.stderr.write(indented_lines(_short(traceback.format_exc())) + "\n")
        raise SystemExit(failure_status.get()) from None


def _require_text(arguments: Sequence[str]) -> None:
    """Refuse an argument that is no text in UTF-8: nothing that is stored has such a name. Raises Invalid."""
    for number, argument in enumerate(arguments, 1):
        try:
            argument.encode()
        except UnicodeEncodeError:
            raise Invalid(f"argument {number}", f"is no text in UTF-8: {argument!a}") from None


def _complain(error: AmendsError) -> None:
    text = as_typed(without_secrets(f"{place_of(error)}{error}"))
    for line in text.expandtabs().splitlines() if isinstance(error, StartupError) else [text]:
        print_error_line(shortened(line))


def _short(text: str) -> str:
    """A traceback without the middle of what is too long in it: an error may say anything."""
    lines = [shortened(line) for line in text.splitlines()]
    if left := max(len(lines) - 2 * LINES, 0):
        lines[LINES:-LINES] = [f"… {left} lines are left out …"]
    return "\n".join(lines)


def place_of(error: AmendsError) -> str:
    """The line of the project that a wrong definition stands in, before what is wrong with it."""
    here, found = Path.cwd(), ""
    for frame, line in traceback.walk_tb(error.__traceback__):
        file = Path(frame.f_code.co_filename).absolute()
        if file.suffix == ".py" and file.is_relative_to(here):
            within = file.relative_to(here)
            found = (
                found if {"amends", "amends.py", "site-packages"}.intersection(within.parts) else f"{within}:{line}: "
            )
    return found if isinstance(error, DefinitionError) else ""


def _terminated(number: int, _: object) -> None:
    """End, and stop a database that was started for this; a second signal does not interrupt that."""
    signal.signal(number, signal.SIG_IGN)
    raise SystemExit(128 + number)
