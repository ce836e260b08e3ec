"""Business processes: start, watch, decide."""

from __future__ import annotations

import asyncio
import sys
from contextlib import nullcontext, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.amends.cli.exit_status import NOT_MADE, failure_status
from app.amends.cli.help.completion import saga_names
from app.amends.cli.project import AsJson, look_at_database, parse_json_argument, run_on_database
from app.amends.cli.sagas.acting import ACTS, say_on_record
from app.amends.cli.sagas.bulk import bulk
from app.amends.cli.sagas.listing import list_causes, list_workflows
from app.amends.output.terminal import print_error_line, print_json, print_line

if TYPE_CHECKING:
    from app.amends.cli.command_context import CommandContext

workflows = typer.Typer(no_args_is_help=True, help=__doc__)

Id = Annotated[str, typer.Argument(metavar="ID")]


workflows.command("list")(list_workflows)
workflows.command("causes")(list_causes)
workflows.add_typer(bulk, name="bulk")


@workflows.command("show")
def show_workflow(
    id: Id,
    watch: Annotated[bool, typer.Option("--watch", help="Follow it until it has ended, or a person must act.")] = False,
    events: Annotated[bool, typer.Option("--events", help="Print its events, a line each, instead of bars.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show a saga: its status, and its steps as bars of time, with what was compensated beside them."""

    async def look(context: CommandContext) -> None:
        from app.amends.cli.timeline.showing import SagaView, show_saga, watch_saga

        view = SagaView(context, id)
        if watch and not as_json:
            await watch_saga(view)
        elif as_json:
            await _print_saga(context, id)
        else:
            await show_saga(view, events)

    with suppress(KeyboardInterrupt) if watch else nullcontext():
        run_on_database(look)


async def _print_saga(context: CommandContext, id: str) -> None:
    from app.amends.http.serialisation import saga_json
    from domain.amends.errors import NotFound

    found = await context.overview.saga_with_state(id)
    if found is None:
        raise NotFound("workflow", id)
    whole = partial(saga_json, found, context.redactor, limit=len(found.state.steps))
    print_json(await context.redactor.serialise_redacted(whole, sagas=[id]))


@workflows.command("check")
def check_workflows(
    recordings: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Replay the recordings in this folder; no database is needed.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Replay all unfinished sagas against the code here, without effects, and say what a deploy would strand.

    It also says which old versions of sagas nobody needs any more. The exit status is 0 if all go on, 1 if some do not,
    and 2 if the check could not be made.
    """
    failure_status.set(NOT_MADE)
    from app.amends.cli.compatibility import checking
    from app.amends.cli.versions.deleting import OldVersion
    from workflows.amends.compatibility.check import CompatibilityReport

    report, unreadable, old = CompatibilityReport(), list[str](), list[OldVersion]()

    async def look(context: CommandContext) -> None:
        nonlocal report
        report = await checking.check_compatibility(context, quiet=as_json)
        old.extend(await checking.check_old_versions(context))

    if recordings is None:
        look_at_database(look)
    else:
        report, unreadable = asyncio.run(checking.check_folder(recordings, quiet=as_json))
    if as_json:
        print_json(checking.report_json(report, old))
    else:
        for line in checking.report_lines(report, old):
            print_line(line)
    for problem in unreadable:
        print_error_line(problem)
    if unreadable or report.fits < report.instances:
        raise SystemExit(NOT_MADE if unreadable else 1)


@workflows.command("export")
def export_workflows(
    ids: Annotated[list[str] | None, typer.Argument(metavar="[ID]...", help="The sagas to export.")] = None,
    sample: Annotated[
        int | None,
        typer.Option(
            min=1, max=1_000_000, help="Choose so many unfinished ones, spread over types, versions and steps."
        ),
    ] = None,
    to: Annotated[Path, typer.Option(metavar="DIR", help="Where to write them, one file each.")] = Path(
        "tests", "recordings"
    ),
) -> None:
    """Write what is recorded of sagas as files, with other values in place of those that are marked or not known.

    `workflows check --recordings DIR` replays them. The exit status is 1 if one could not be exported.
    """
    if (sample is None) == (not ids):
        raise typer.BadParameter("Give ids, or --sample N: one of the two.")
    from app.amends.cli.compatibility.exporting import export_sagas

    failed = False

    async def look(context: CommandContext) -> None:
        nonlocal failed
        failed = await export_sagas(context, ids or [], sample, to)

    if not look_at_database(look):
        print_error_line("The database has no schema of Amends, and so no sagas.")
        failed = True
    if failed:
        raise SystemExit(1)


@workflows.command("start")
def start_workflow(
    name: Annotated[str, typer.Argument(autocompletion=saga_names)],
    given: Annotated[str, typer.Argument(metavar="INPUT", help="The input as JSON, or - to read it.")],
    id: Annotated[str | None, typer.Option(help="The same id and input start it once.")] = None,
    as_json: AsJson = False,
) -> None:
    """Start a saga: it is queued for the next free server."""

    async def start(context: CommandContext) -> None:
        await context.register.note_shapes()
        saga = context.saga_client.newest_definition(name)
        request = _sent(context, given, saga.definition.input)
        order = context.saga_client.start_request(saga, request, id, context.cause)
        started, _ = await context.saga_client.start(order)
        if as_json:
            print_json(vars(started), indent=None)
        else:
            print_line(started.id)

    run_on_database(start)


def _sent(context: CommandContext, argument: str, annotation: Any) -> Any:
    """What an argument says, or what is read in place of `-`; the fields that name the sender are filled in."""
    from domain.amends.sender import fill_in_sender
    from workflows.amends.values.codec import load_input

    given = parse_json_argument(sys.stdin.read() if argument == "-" else argument)
    sender = context.cause.actor or "anonymous"
    return load_input(fill_in_sender(given, annotation, sender, known=False), annotation)


@workflows.command("signal")
def signal_workflow(
    id: Id,
    signal: Annotated[str, typer.Argument(help="Its name, such as approval.")],
    payload: Annotated[str, typer.Argument(metavar="PAYLOAD", help="What it says, as JSON, or - to read it.")],
) -> None:
    """Send a signal to a saga; one that waits for it goes on."""

    async def tell(context: CommandContext) -> None:
        from domain.amends.errors import NotFound

        row = await context.overview.row(id)
        if row is None:
            raise NotFound("workflow", id)
        cls = context.saga_client.signal_class(id, row.name, row.version, row.status, signal)
        said = _sent(context, payload, cls)
        await context.register.note_shapes()
        await context.saga_client.signal(
            id, signal, context.saga_client.signal_payload_json(signal, said, cls), context.cause
        )
        say_on_record(id, signal)

    run_on_database(tell)


for name, act in ACTS.items():
    workflows.command(name)(act)
