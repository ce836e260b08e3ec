"""Read models: list, rebuild, verify, promote, drop; retry and skip keys that are set aside."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.amends.cli.help.completion import read_model_names
from app.amends.cli.project import AsJson, run_on_database
from app.amends.output.terminal import print_error_line, print_json, print_line
from app.amends.output.typed_commands import program

if TYPE_CHECKING:
    from app.amends.cli.command_context import CommandContext
    from workflows.amends.ports.projection_builds import RequestedAction

projections = typer.Typer(no_args_is_help=True, help=__doc__)

Name = Annotated[str, typer.Argument(metavar="NAME", autocompletion=read_model_names)]
Key = Annotated[str, typer.Argument(metavar="KEY")]
Number = Annotated[int | None, typer.Option("--build", min=1, help="Which table; else the one that suggests itself.")]
Reason = Annotated[str, typer.Option(help="Why; it stays on record.")]


@projections.command("list")
def list_projections(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", autocompletion=read_model_names)] = None,
    as_json: AsJson = False,
) -> None:
    """List read models: their builds, the lag of each, and the keys that are set aside."""

    async def look(context: CommandContext) -> None:
        from app.amends.projections.reporting import read_model_report
        from workflows.amends.projections.failures import short_key

        if name is not None:
            await context.builds.require(name)
        found = await read_model_report(context.builds, name)
        if as_json:
            print_json(found)
            return
        for each in found:
            for line in _lines(each):
                print_line(line)
        for each in found:
            for line in _troubles(each):
                print_line(line)
        for left_out in await context.builds.store.skipped_events(name) if name else ():
            what = f"{left_out.type} at position {left_out.position}, by {left_out.actor}: {left_out.reason}"
            print_line(f"SKIPPED    {name} {short_key(left_out.key)}, {what}")

    run_on_database(look)


def _lines(found: dict[str, Any]) -> Iterator[str]:
    """The lines of a read model: one for each build."""
    if not found["builds"]:
        yield f"{found['name']:<24} version {found['version']}  {found['status']}"
    for build in found["builds"]:
        state = f"{build['state']} {found['status'] if build['state'] == 'live' else ''}"
        lag = f"{build['lag_events']} events, {build['lag_seconds']:.1f} s behind"
        yield f"{found['name']:<24} build {build['build']:<3} version {build['version']:<3} {state:<20} {lag}"


def _troubles(found: dict[str, Any]) -> Iterator[str]:
    """The lines of a read model's troubles."""
    from workflows.amends.projections.failures import short_key

    name = found["name"]
    if found["status"] == "orphaned":
        yield f"ORPHANED   {name}: its code is gone. {program()} projections drop {name}"
    if found["failure"] and not found["builds"]:
        yield f"FAILING    {name}: {found['failure']}"
    for build in found["builds"]:
        if build["failure"]:
            yield f"FAILING    {name} build {build['build']}: {build['failure']}"
    for waits in found["set_aside_keys"]:
        what = f"{waits['type']} at position {waits['position']}: {waits['error']}"
        yield f"SET ASIDE  {name} {short_key(waits['key'])}, {waits['waiting']} events wait behind {what}"


@projections.command("rebuild")
def rebuild(name: Name, as_json: AsJson = False) -> None:
    """Rebuild a read model: fill a build of the newest version beside the live one, or go on with one that was
    started."""

    async def run(context: CommandContext) -> None:
        from app.amends.cli.progress import rebuild_with_progress

        build = await rebuild_with_progress(context, name, quiet=as_json)
        if as_json:
            from app.amends.projections.reporting import read_model_report

            (found,) = await read_model_report(context.builds, name)
            print_json(found)
        else:
            print_line(f"{name} build {build.build} has caught up: {build.events} events. To show it:")
            if build.set_aside:
                print_line(f"  {build.set_aside} keys are set aside in it: {program()} projections list {name}")
            print_line(f"  {program()} projections verify {name}")
            print_line(f"  {program()} projections promote {name}")

    run_on_database(run)


@projections.command("verify")
def verify_build(name: Name, as_json: AsJson = False) -> None:
    """Compare the rebuilt table with the live one, row by row, in the columns that both have."""

    async def run(context: CommandContext) -> None:
        from dataclasses import asdict

        from app.amends.cli.progress import counting
        from app.amends.projections.comparison import compare_builds

        with counting(f"{name}: rows compared", quiet=as_json) as seen:
            found = await compare_builds(context.builds, context.reader, name, seen=seen)
        if as_json:
            print_json(asdict(found))
        else:
            compared = f"{found.rows} rows of {name} compared, builds {found.one} and {found.other}"
            print_line(f"{compared}: {len(found.differing)} differ, {found.moving} are on the move.")
            for each in found.differing[:20]:
                print_line(f"  {each.key}: {each.one} / {each.other}")
        if found.differing:
            raise SystemExit(1)

    run_on_database(run)


@projections.command("promote")
def promote(
    name: Name,
    build: Number = None,
    allow_set_aside: Annotated[
        bool, typer.Option("--allow-set-aside", help="Also if keys are set aside in it that the live table shows.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Promote a build: let views.NAME show the rebuilt table, or a retired one again."""

    async def run(context: CommandContext) -> None:
        now = await context.administration.promote(name, build, context.cause, less=allow_set_aside)
        if as_json:
            print_json(now)
        else:
            print_line(f"views.{name} shows build {now['build']}, version {now['version']}.")

    run_on_database(run)


@projections.command("drop")
def drop(name: Name, build: Number = None, as_json: AsJson = False) -> None:
    """Drop a build that is not live, or all builds of a read model whose code is gone."""

    async def run(context: CommandContext) -> None:
        gone = await context.administration.drop(name, build, context.cause)
        if as_json:
            print_json(gone)
        else:
            builds = gone["dropped"] if isinstance(gone["dropped"], list) else [gone["dropped"]]
            print_line(f"{name} build {', '.join(map(str, builds))} is dropped.")

    run_on_database(run)


@projections.command("retry")
def retry(name: Name, key: Key, reason: Reason) -> None:
    """Retry a key that is set aside: apply its event, and those behind it, once more."""
    _wish(name, key, "retry", reason)


@projections.command("skip")
def skip(name: Name, key: Key, reason: Reason) -> None:
    """Skip the event of a key that cannot be applied, and apply those behind it."""
    _wish(name, key, "skip", reason)


def _wish(name: str, key: str, wish: RequestedAction, reason: str) -> None:
    async def run(context: CommandContext) -> None:
        await context.administration.request_action(name, key, wish, reason, context.cause)
        print_error_line(f"Noted: a server does it within a second. {program()} projections list {name}")

    run_on_database(run)
