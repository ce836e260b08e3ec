"""The check of new code against the sagas of a database: run by a command, and shown."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from app.amends.cli.command_context import CommandContext, client_without_database
from app.amends.cli.progress import counting
from app.amends.cli.project import project_service, project_settings
from app.amends.cli.versions.deleting import OldVersion, old_versions
from app.amends.recordings.files import FileRecordings
from app.amends.schema.catalogue import load_catalogue
from app.amends.schema.files import LockFiles
from app.amends.schema.register import ShapeRegister
from app.amends.store.sagas.recordings import PostgresRecordings
from app.amends.store.sagas.versions import PostgresVersions
from workflows.amends.compatibility.check import BECOMES, CompatibilityReport, Finding, TypeReport, check_recordings
from workflows.amends.compatibility.replay_log import CodeAtHand
from workflows.amends.values.limits import Limits


async def check_compatibility(context: CommandContext, quiet: bool) -> CompatibilityReport:
    """Replay all unfinished sagas against the code of this project, counted on standard error unless `quiet`."""
    recordings, sagas = PostgresRecordings(context.reader), context.saga_client.sagas
    with counting("sagas replayed", quiet, await recordings.count()) as seen:
        report = await check_recordings(recordings, sagas, context.code, seen)
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
    limits = Limits(settings.value_bytes, settings.commit_bytes, provider=settings.provider_wait_seconds)
    code = CodeAtHand.of(client, limits, register.argument_shapes)
    with counting("recordings replayed", quiet, recordings.count) as seen:
        report = await check_recordings(recordings, client.sagas, code, seen)
    return report, list(recordings.unreadable.values())


async def check_old_versions(context: CommandContext) -> list[OldVersion]:
    """The old versions of sagas that this project has code for, with what needs them."""
    uses = await PostgresVersions(context.reader).uses()
    return old_versions(context.saga_client.sagas, uses, project_service().root)


def report_lines(report: CompatibilityReport, old: Sequence[OldVersion] = ()) -> Iterator[str]:
    """The lines of a report: one for each type and version, and below it what does not go on, and why; then one for
    each old version that is not finished with, or that may be deleted."""
    for each in _sorted(report):
        nobody = "; no executor that runs now has code for them" if each.served is False else ""
        yield f"{each.name}:{each.version}  {each.fits} of {each.instances} unfinished sagas go on{nobody}"
        for finding in each.findings:
            yield f"  {finding.count} {BECOMES[finding.outcome]}: {finding.reason}"
            yield f"    {_examples(finding)}"
    yield from (each.line() for each in old)
    left = report.instances - report.fits
    if left:
        yield f"{left} of {report.instances} unfinished sagas do not go on with the code here."
    else:
        yield f"The code here fits all {report.instances} unfinished sagas."


def report_json(report: CompatibilityReport, old: Sequence[OldVersion] = ()) -> dict[str, Any]:
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
        "old_versions": [each.json() for each in old],
    }


def _sorted(report: CompatibilityReport) -> list[TypeReport]:
    return [each for _, each in sorted(report.types.items())]


def _examples(finding: Finding) -> str:
    more = "" if finding.count <= len(finding.examples) else " …"
    return f"{', '.join(finding.examples)}{more}"
