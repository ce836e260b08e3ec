"""Acts on many sagas at once: try one out, begin it, watch it, and steer it."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, get_args

import typer

from app.amends.cli.project import AsJson, parse_json_argument, run_on_database
from app.amends.cli.sagas.listing import (
    Actor,
    Error,
    InCause,
    Name,
    Parent,
    StatusName,
    Step,
    Time,
    filters_of,
)
from app.amends.output.bulk_lines import bulk_act_lines, bulk_dry_run_lines, bulk_list_lines
from app.amends.output.terminal import print_json, print_line

if TYPE_CHECKING:
    from collections.abc import Callable

    from app.amends.bulk.bulk_acts import Steering
    from app.amends.bulk.request import BulkActName, BulkRequest
    from app.amends.cli.command_context import CommandContext

bulk = typer.Typer(no_args_is_help=True, help=__doc__)

LOOK_SECONDS: Final = 0.5
Act = Literal["cancel", "retry", "skip", "resolve", "signal"]
Id = Annotated[str, typer.Argument(metavar="ID")]
Reason = Annotated[str, typer.Option(help="Why; it stays on record.")]
Watch = Annotated[bool, typer.Option("--watch", help="Follow it until it rests.")]


def _acts(incomplete: str) -> list[str]:
    """The acts that begin so."""
    return [each for each in get_args(Act) if each.startswith(incomplete)]


@bulk.command("run")
def run_bulk_act(
    given: typer.Context,
    act: Annotated[str, typer.Argument(help=f"One of {', '.join(get_args(Act))}.", autocompletion=_acts)],
    name: Name = None,
    version: int | None = None,
    status: StatusName = None,
    reference: str | None = None,
    step: Step = None,
    error: Error = None,
    actor: Actor = None,
    cause: InCause = None,
    started_after: Time = None,
    started_before: Time = None,
    correlation_id: str | None = None,
    parent: Parent = None,
    signal: Annotated[str | None, typer.Option(help="The name of the signal, such as approval.")] = None,
    payload: Annotated[str | None, typer.Option(help="What the signal says, as JSON.")] = None,
    result: Annotated[str | None, typer.Option(help="What the step came to that is resolved, as JSON.")] = None,
    reason: Annotated[str | None, typer.Option(help="Why; it stays on record. A dry run needs none.")] = None,
    expect: Annotated[int | None, typer.Option(min=0, help="What a dry run has said; more is an error.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what it would lead to, and do nothing.")] = False,
    watch: Watch = False,
    as_json: AsJson = False,
) -> None:
    """Act on all sagas that match all of these; a running server does it, in batches.

    The set is fixed now. A saga that has moved on by the time that it is its turn is left alone.
    """
    if act not in get_args(Act):
        raise typer.BadParameter(f"{act!r} is no act; there are: {', '.join(get_args(Act))}.")
    if reason is None and not dry_run:
        raise typer.BadParameter("Missing option '--reason': why; it stays on record.")

    def request(by: str) -> BulkRequest:
        from app.amends.bulk.request import BulkRequest
        from workflows.amends.acts.saga_act import SagaAct

        known: dict[str, BulkActName] = {each: each for each in get_args(Act)}
        came_to, said = (None if each is None else parse_json_argument(each) for each in (result, payload))
        return BulkRequest(filters_of(given), SagaAct(known[act], reason or "", came_to, signal, said), by)

    async def run(context: CommandContext) -> None:
        if dry_run:
            await _try_out(context, request(context.cause.actor), expect, as_json)
        else:
            await _begin(context, request(context.cause.actor), expect, watch, as_json)

    run_on_database(run)


async def _try_out(context: CommandContext, request: BulkRequest, expect: int | None, as_json: bool) -> None:
    from app.amends.http.bulk_json import bulk_dry_run_json

    found = await bulk_dry_run_json(await context.bulk_dry_runs.of(request, expect), context.redactor)
    _print(found, as_json, bulk_dry_run_lines)


async def _begin(context: CommandContext, request: BulkRequest, expect: int | None, watch: bool, as_json: bool) -> None:
    from app.amends.bulk.request import require_size
    from workflows.amends.ids import new_id

    request.require_signal(context.saga_client)
    await context.register.note_shapes()
    id = str(new_id())
    count, begun = await context.bulk_acts.begin(id, request, expect, None)
    if not begun:
        require_size(count, expect)
    if watch:
        await _follow(context, id, as_json)
    await _show(context, id, as_json)


@bulk.command("list")
def list_bulk_acts(
    limit: Annotated[int, typer.Option(min=1, max=1000)] = 20,
    as_json: AsJson = False,
) -> None:
    """List acts on many sagas, newest first."""

    async def look(context: CommandContext) -> None:
        from app.amends.http.bulk_json import bulk_row_json

        shown = [bulk_row_json(each) for each in await context.bulk_acts.page(limit, None)]
        _print(shown, as_json, bulk_list_lines)

    run_on_database(look)


@bulk.command("show")
def show_bulk_act(id: Id, watch: Watch = False, as_json: AsJson = False) -> None:
    """Show one of them: how far it has got, and what failed, by cause."""

    async def look(context: CommandContext) -> None:
        if watch:
            await _follow(context, id, as_json)
        await _show(context, id, as_json)

    with suppress(KeyboardInterrupt):
        run_on_database(look)


@bulk.command("pause")
def pause_bulk_act(id: Id, reason: Reason) -> None:
    """Let one rest after the batch that is under way."""
    _steer(id, "pause", reason)


@bulk.command("resume")
def resume_bulk_act(id: Id, reason: Reason) -> None:
    """Let one that was paused go on."""
    _steer(id, "resume", reason)


@bulk.command("cancel")
def cancel_bulk_act(id: Id, reason: Reason) -> None:
    """End one after the batch that is under way; what was done stays done."""
    _steer(id, "cancel", reason)


def _steer(id: str, action: Steering, reason: str) -> None:
    async def steer(context: CommandContext) -> None:
        done = await context.bulk_acts.steer(id, action, context.cause.actor, reason)
        print_line(f"{id} is {done['status']}.")

    run_on_database(steer)


async def _follow(context: CommandContext, id: str, quiet: bool) -> None:
    """Show the progress of one until it rests."""
    from app.amends.cli.progress import counting

    found, _ = await context.bulk_acts.one(id)
    with counting(found.act, quiet, found.total) as count:
        while found.status == "running":
            count(found.total - found.left)
            await asyncio.sleep(LOOK_SECONDS)
            found, _ = await context.bulk_acts.one(id)
        count(found.total - found.left)


async def _show(context: CommandContext, id: str, as_json: bool) -> None:
    from app.amends.http.bulk_json import bulk_json

    _print(bulk_json(*await context.bulk_acts.one(id)), as_json, bulk_act_lines)


def _print(found: Any, as_json: bool, lines: Callable[[Any], Any]) -> None:
    if as_json:
        print_json(found)
        return
    for line in lines(found):
        print_line(line)
