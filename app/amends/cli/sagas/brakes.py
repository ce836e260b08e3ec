"""Brakes: hold what goes wrong, so that nothing new of it begins, and lift that again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.amends.cli.help.completion import saga_names
from app.amends.cli.project import AsJson, run_on_database
from app.amends.output.terminal import print_json, print_line

if TYPE_CHECKING:
    from app.amends.cli.command_context import CommandContext
    from workflows.amends.brakes.brake import WhenStarted

brake = typer.Typer(no_args_is_help=True, help=__doc__)

Reason = Annotated[str, typer.Option(help="Why; it stays on record.")]


@brake.command("list")
def list_brakes(as_json: AsJson = False) -> None:
    """List the brakes in force, and how many sagas wait at each."""

    async def look(context: CommandContext) -> None:
        from app.amends.http.serialisation import brake_json

        shown = [brake_json(each) for each in await context.brakes.in_force()]
        if as_json:
            print_json(shown)
            return
        for each in shown:
            print_line(brake_line(each))
        if not shown:
            print_line("No brake is set.")

    run_on_database(look)


def brake_line(shown: dict[str, Any]) -> str:
    """A brake on one line."""
    scope = ", ".join(f"{field} {value}" for field, value in shown["scope"].items())
    also = [f"starts are {'refused' if shown['starts'] == 'refuse' else 'queued'}"]
    also += ["compensations too"] if shown["compensations"] else []
    waiting = f"{shown['waiting']:,}{'+' if shown['more'] else ''} wait"
    who = f"since {shown['since']} by {shown['actor']}: {shown['reason']}"
    return f"{shown['id']}  {scope}  ({', '.join(also)})  {waiting}  {who}"


@brake.command("set")
def set_brake(
    reason: Reason,
    name: Annotated[str | None, typer.Option(autocompletion=saga_names, help="A type of sagas.")] = None,
    version: Annotated[int | None, typer.Option(min=1, help="A version of their code.")] = None,
    step: Annotated[str | None, typer.Option(help="A step, or a compensation with --compensations.")] = None,
    provider: Annotated[str | None, typer.Option(help="A provider, as its gateway names it.")] = None,
    refuse_starts: Annotated[
        bool, typer.Option("--refuse-starts", help="Answer starts with 503 instead of queueing them.")
    ] = False,
    compensations: Annotated[bool, typer.Option("--compensations", help="Hold compensations too.")] = False,
    as_json: AsJson = False,
) -> None:
    """Hold all that meets each of these: within a second nothing new of it begins in any process."""

    async def run(context: CommandContext) -> None:
        from workflows.amends.brakes.brake import BrakeScope

        scope = BrakeScope(name, version, step, provider)
        starts: WhenStarted = "refuse" if refuse_starts else "queue"
        made = await context.brake_administration.set(scope, starts, compensations, reason, context.cause)
        if as_json:
            print_json(made)
        else:
            print_line(f"{made['id']} holds {scope}. To lift it: ./run amends brake lift {made['id']} --reason …")

    run_on_database(run)


@brake.command("lift")
def lift_brake(id: Annotated[str, typer.Argument(metavar="ID")], reason: Reason) -> None:
    """Lift a brake: what waits at it goes on, evenly."""

    async def run(context: CommandContext) -> None:
        await context.brake_administration.lift(id, reason, context.cause)
        print_line(f"{id} is lifted.")

    run_on_database(run)
