"""Lists of business processes, and of what needs a person."""

from __future__ import annotations

import sys
from dataclasses import fields
from typing import TYPE_CHECKING, Annotated

import typer

from app.amends.cli.help.completion import saga_names, statuses
from app.amends.cli.project import AsJson, run_on_database
from app.amends.output.cause_lists import cause_lines
from app.amends.output.lists import ListedSaga, list_lines
from app.amends.output.terminal import print_error_line, print_json, print_line, terminal_size

if TYPE_CHECKING:
    from datetime import datetime

    from app.amends.cli.command_context import CommandContext
    from app.amends.store.sagas.filters import SagaFilters

Step = Annotated[str | None, typer.Option(help="The step at which they are suspended.")]
Error = Annotated[str | None, typer.Option(help="A part of the error of their cause.")]
Actor = Annotated[str | None, typer.Option(help="Who started them.")]
InCause = Annotated[str | None, typer.Option(help="An id that `workflows causes` shows.")]
Parent = Annotated[str | None, typer.Option(help="The saga that started them.")]
Name = Annotated[str | None, typer.Option(autocompletion=saga_names)]
StatusName = Annotated[str | None, typer.Option(autocompletion=statuses)]
Time = Annotated[str | None, typer.Option(metavar="TIME", help="Such as 2026-01-31T12:00:00Z.")]


def list_workflows(
    given: typer.Context,
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
    count: Annotated[bool, typer.Option("--count", help="Say only how many they are, up to 10,000.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=1000)] = 50,
    as_json: AsJson = False,
) -> None:
    """List sagas that match all of these, newest first."""

    async def look(context: CommandContext) -> None:
        if count:
            await _print_count(context, filters_of(given), as_json)
        else:
            await _print_list(context, filters_of(given), limit, as_json)

    run_on_database(look)


async def _print_count(context: CommandContext, filters: SagaFilters, as_json: bool) -> None:
    found = await context.overview.count(filters)
    if as_json:
        print_json(vars(found), indent=None)
    else:
        print_line(f"{found.value:,}{'+' if found.more else ''}")


async def _print_list(context: CommandContext, filters: SagaFilters, limit: int, as_json: bool) -> None:
    from app.amends.http.serialisation import saga_row_json, sagas_with_reasons
    from app.amends.store.queue import long_queued, queued_starts

    if not as_json:
        from app.amends.cli.sagas.brakes import brake_line
        from app.amends.http.serialisation import brake_json

        for standing in await context.brakes.in_force():
            print_line(f"BRAKE  {brake_line(brake_json(standing))}")
    rows, _ = await context.overview.page(filters, limit, None)
    redactor = context.redactor
    shown = await redactor.serialise_redacted(
        lambda: [saga_row_json(row, redactor) for row in rows], sagas=sagas_with_reasons(rows)
    )
    if as_json:
        print_json(shown)
        return
    listed = [
        ListedSaga(row.started_at.strftime("%Y-%m-%d %H:%M:%S"), row.status, row.name, row.id, row.reference, why or "")
        for row, why in zip(rows, (each["reason"] for each in shown), strict=True)
    ]
    for line in list_lines(listed, terminal_size().columns if sys.stdout.isatty() else None):
        print_line(line)
    if late := long_queued(await queued_starts(context.reader)):
        print_error_line(f"{late}. ./run amends doctor says more.")


def filters_of(given: typer.Context) -> SagaFilters:
    """The filters that a command was given as its options: each is an option of its name. Raises Invalid."""
    from app.amends.store.sagas.filters import SagaFilters

    options = {each.name: given.params[each.name] for each in fields(SagaFilters)}
    for each in ("started_after", "started_before"):
        options[each] = parse_instant_option(options[each], each)
    return SagaFilters(**options)


def parse_instant_option(given: str | None, option: str) -> datetime | None:
    """The instant of an option. Raises Invalid."""
    from pydantic import AwareDatetime, ValidationError

    from domain.amends.errors import Invalid
    from workflows.amends.values.codec import load

    if given is None:
        return None
    try:
        found: datetime = load(given, AwareDatetime)
    except ValidationError as error:
        raise Invalid(option, "is no instant; one looks like 2026-01-31T12:00:00Z") from error
    return found


def list_causes(as_json: AsJson = False) -> None:
    """List what needs a person, grouped by cause, the largest groups first."""

    async def look(context: CommandContext) -> None:
        from app.amends.http.serialisation import cause_json

        shown = [cause_json(group) for group in await context.causes.all()]
        if as_json:
            print_json(shown)
            return
        for each in shown:
            for line in cause_lines(each):
                print_line(line)

    run_on_database(look)
