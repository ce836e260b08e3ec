"""Acts on one saga: cancel it, decide about it as an operator, or see beforehand what would happen."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from app.amends.cli.project import AsJson, parse_json_argument, run_on_database
from app.amends.output.dry_runs import dry_run_lines
from app.amends.output.terminal import print_json, print_line

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from app.amends.cli.command_context import CommandContext
    from workflows.amends.acts.saga_act import ActName
    from workflows.amends.client import TerminatedAction
    from workflows.amends.history import OperatorAction

Reason = Annotated[str | None, typer.Option(help="Why; it stays on record. A dry run needs none.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would happen next, and do nothing.")]
Id = Annotated[str, typer.Argument(metavar="ID")]


def cancel_workflow(id: Id, reason: Reason = None, dry_run: DryRun = False, as_json: AsJson = False) -> None:
    """Cancel a saga: it compensates from its next step on, if it is not past its pivot."""

    async def cancel(context: CommandContext, why: str) -> None:
        from domain.amends.errors import NotFound

        row = await context.overview.row(id)
        if row is None:
            raise NotFound("workflow", id)
        await context.saga_client.cancel(id, row.name, row.version, why, context.cause)

    _do(id, "cancel", reason, dry_run, as_json, cancel)


def compensate_workflow(id: Id, reason: Reason = None, dry_run: DryRun = False, as_json: AsJson = False) -> None:
    """Compensate a saga that was terminated in DBOS's own tools."""
    _handle_terminated(id, "compensate", reason, dry_run, as_json)


def resume_workflow(id: Id, reason: Reason = None, dry_run: DryRun = False, as_json: AsJson = False) -> None:
    """Resume a saga that was terminated in DBOS's own tools."""
    _handle_terminated(id, "resume", reason, dry_run, as_json)


def retry_workflow(id: Id, reason: Reason = None, dry_run: DryRun = False, as_json: AsJson = False) -> None:
    """Let a stuck saga retry the step or the compensation that failed."""
    _handle_stuck(id, "retry", reason, dry_run, as_json)


def skip_workflow(id: Id, reason: Reason = None, dry_run: DryRun = False, as_json: AsJson = False) -> None:
    """Let a stuck saga go on without the step or the compensation that failed."""
    _handle_stuck(id, "skip", reason, dry_run, as_json)


def resolve_workflow(
    id: Id,
    reason: Reason = None,
    result: Annotated[str, typer.Option(help="What the step came to, as JSON, if the next steps need it.")] = "null",
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Note that the step or the compensation that failed was done by hand, and let the saga go on."""
    _handle_stuck(id, "resolve", reason, dry_run, as_json, parse_json_argument(result))


ACTS: Final[dict[str, Callable[..., None]]] = {
    "cancel": cancel_workflow,
    "compensate": compensate_workflow,
    "resume": resume_workflow,
    "retry": retry_workflow,
    "skip": skip_workflow,
    "resolve": resolve_workflow,
}


def say_on_record(id: str, what: str) -> None:
    """Print that a request stands."""
    print_line(f"{id}: {what} is on record; a running server goes on from there.")


def _handle_stuck(
    id: str, act: OperatorAction, reason: str | None, dry_run: bool, as_json: bool, result: Any = None
) -> None:
    async def decide(context: CommandContext, why: str) -> None:
        await context.saga_client.handle_stuck(id, act, why, context.cause, result)

    _do(id, act, reason, dry_run, as_json, decide, result)


def _handle_terminated(id: str, act: TerminatedAction, reason: str | None, dry_run: bool, as_json: bool) -> None:
    async def decide(context: CommandContext, why: str) -> None:
        await context.saga_client.handle_terminated(id, act, why, context.cause)

    _do(id, act, reason, dry_run, as_json, decide)


def _do(
    id: str,
    act: ActName,
    reason: str | None,
    dry_run: bool,
    as_json: bool,
    decide: Callable[[CommandContext, str], Awaitable[None]],
    result: Any = None,
) -> None:
    """Act, or say what would come of it. An act needs a reason."""
    if reason is None and not dry_run:
        raise typer.BadParameter("Missing option '--reason': why; it stays on record.")

    async def run(context: CommandContext) -> None:
        if not dry_run:
            await decide(context, reason or "")
            say_on_record(id, act)
            return
        from app.amends.http.serialisation import dry_run_json
        from workflows.amends.acts.saga_act import SagaAct

        found = dry_run_json(await context.dry_runs.of(id, SagaAct(act, reason or "", result)))
        if as_json:
            print_json(found)
            return
        for line in dry_run_lines(found):
            print_line(line)

    run_on_database(run)
