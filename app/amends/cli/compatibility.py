"""The check of new code against the sagas of a database: run by a command, and shown."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from app.amends.cli.progress import counting
from app.amends.cli.project import project_settings
from app.amends.store.sagas.recordings import PostgresRecordings
from workflows.amends.compatibility.check import CompatibilityReport, Finding, TypeReport, check_recordings
from workflows.amends.compatibility.replay_log import CodeAtHand, Outcome
from workflows.amends.values.limits import Limits

if TYPE_CHECKING:
    from app.amends.cli.command_context import CommandContext

BECOMES: Final[dict[Outcome, str]] = {
    "fits": "go on",
    "stranded": "would be stranded",
    "stuck": "would get stuck",
    "no-code": "would wait",
}
"""What becomes of instances, in words."""


async def check_compatibility(context: CommandContext, quiet: bool) -> CompatibilityReport:
    """Replay all unfinished sagas against the code of this project, counted on standard error unless `quiet`."""
    settings, client = project_settings(), context.saga_client
    limits = Limits(settings.value_bytes, settings.commit_bytes, provider=settings.provider_wait_seconds)
    code = CodeAtHand(client.child_start_request, lambda: datetime.now(UTC), limits, context.register.argument_shapes)
    with counting("sagas replayed", quiet) as seen:
        return await check_recordings(PostgresRecordings(context.reader), client.sagas, code, seen)


def report_lines(report: CompatibilityReport) -> Iterator[str]:
    """The lines of a report: one for each type and version, and below it what does not go on, and why."""
    for each in _sorted(report):
        yield f"{each.name}:{each.version}  {each.fits} of {each.instances} unfinished sagas go on"
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
