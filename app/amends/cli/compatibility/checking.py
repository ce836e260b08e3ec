"""The check of new code against the sagas of a database: run by a command, and shown."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from app.amends.cli.command_context import CommandContext, client_without_database
from app.amends.cli.progress import counting
from app.amends.cli.project import project_service, project_settings
from app.amends.recordings.files import FileRecordings
from app.amends.schema.catalogue import load_catalogue
from app.amends.schema.files import LockFiles
from app.amends.schema.register import ShapeRegister
from app.amends.settings import Settings
from app.amends.store.sagas.recordings import PostgresRecordings
from workflows.amends.client import SagaClient
from workflows.amends.compatibility.check import BECOMES, CompatibilityReport, Finding, TypeReport, check_recordings
from workflows.amends.compatibility.replay_log import REPLAY_SECONDS, CodeAtHand
from workflows.amends.engine.steps.argument_shapes import ArgumentShapes
from workflows.amends.values.limits import Limits


async def check_compatibility(context: CommandContext, quiet: bool) -> CompatibilityReport:
    """Replay all unfinished sagas against the code of this project, counted on standard error unless `quiet`."""
    recordings, client = PostgresRecordings(context.reader), context.saga_client
    code = code_at_hand(client, project_settings(), context.register.argument_shapes)
    with counting("sagas replayed", quiet, await recordings.count()) as seen:
        report = await check_recordings(recordings, client.sagas, code, seen)
    if served := await recordings.served():
        for each in report.types.values():
            each.served = f"{each.name}:{each.version}" in served
    return report


async def check_folder(folder: Path, quiet: bool) -> tuple[CompatibilityReport, list[str]]:
    """Replay all recordings in a folder, without a database; also says what is wrong with files that are none."""
    recordings, service, settings = FileRecordings(folder), project_service(), project_settings()
    client = client_without_database(service, settings)
    definitions = [saga.definition for saga in client.sagas.values()]
    register = ShapeRegister.of(load_catalogue(), definitions, LockFiles(service.root))
    code = code_at_hand(client, settings, register.argument_shapes)
    with counting("recordings replayed", quiet, recordings.count) as seen:
        report = await check_recordings(recordings, client.sagas, code, seen)
    return report, list(recordings.unreadable.values())


def code_at_hand(client: SagaClient, settings: Settings, shapes: ArgumentShapes) -> CodeAtHand:
    """What a replay with the sagas of a client asks of its surroundings."""
    limits = Limits(settings.value_bytes, settings.commit_bytes, REPLAY_SECONDS, settings.provider_wait_seconds)
    return CodeAtHand(client.child_start_request, lambda: datetime.now(UTC), limits, argument_shapes=shapes)


def report_lines(report: CompatibilityReport) -> Iterator[str]:
    """The lines of a report: one for each type and version, and below it what does not go on, and why."""
    for each in _sorted(report):
        nobody = "; no executor that runs now has code for them" if each.served is False else ""
        yield f"{each.name}:{each.version}  {each.fits} of {each.instances} unfinished sagas go on{nobody}"
        for finding in each.findings:
            yield f"  {finding.count} {BECOMES[finding.outcome]}: {finding.reason}"
            yield f"    {_examples(finding)}"
    left = report.instances - report.fits
    if left:
        yield f"{left} of {report.instances} unfinished sagas do not go on with the code here."
    else:
        yield f"The code here fits all {report.instances} unfinished sagas."


def report_json(report: CompatibilityReport) -> dict[str, Any]:
    """A report as plain JSON data."""
    return {
        "instances": report.instances,
        "fits": report.fits,
        "types": [
            {
                "name": each.name,
                "version": each.version,
                "instances": each.instances,
                "fits": each.fits,
                "served": each.served,
                "findings": [vars(finding) for finding in each.findings],
            }
            for each in _sorted(report)
        ],
    }


def _sorted(report: CompatibilityReport) -> list[TypeReport]:
    return [each for _, each in sorted(report.types.items())]


def _examples(finding: Finding) -> str:
    more = "" if finding.count <= len(finding.examples) else " …"
    return f"{', '.join(finding.examples)}{more}"
