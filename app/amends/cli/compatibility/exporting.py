"""The export of recordings of sagas: run by a command, and told."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from pathlib import Path

from app.amends.cli.command_context import CommandContext
from app.amends.output.terminal import print_error_line, print_line
from app.amends.recordings.export import Exporter, NotExported
from app.amends.recordings.files import file_name
from app.amends.recordings.masking import SagaTypes
from app.amends.store.sagas.recordings import PostgresRecordings
from app.amends.store.shapes import PostgresSagaLookup
from domain.amends.errors import NotFound, StartupError
from workflows.amends.compatibility.interrupting import interrupting
from workflows.amends.compatibility.recorded_saga import RecordedSaga


async def export_sagas(context: CommandContext, ids: Sequence[str], sample: int | None, folder: Path) -> bool:
    """Write these sagas, or a sample, to a folder, and say which could not be; True if there were such.

    Raises NotFound, and StartupError for a folder that cannot be written to.
    """
    recordings, failed = PostgresRecordings(context.reader), False
    exporter = Exporter(context.register, context.saga_client.sagas, context.code)
    await context.register.refresh()
    chosen = ids if sample is None else await recordings.sample(sample)
    with interrupting():
        async for recorded in _recorded(recordings, chosen):
            try:
                made = await exporter.export(recorded, await _types(context, recorded))
            except NotExported as error:
                failed = True
                print_error_line(str(error))
            else:
                print_line(str(_write(folder, made)))
    if not chosen:
        print_line("There are no unfinished sagas.")
    return failed


async def _recorded(recordings: PostgresRecordings, ids: Sequence[str]) -> AsyncIterator[RecordedSaga]:
    for id in ids:
        found = await recordings.recorded_saga(id)
        if found is None:
            raise NotFound("workflow", id)
        yield found


async def _types(context: CommandContext, recorded: RecordedSaga) -> SagaTypes:
    """The types of a saga's children: what they have told it is of their types."""
    lookup, children = PostgresSagaLookup(context.reader), recorded.children
    await lookup.look_up(children)
    return {child: found for child in children if (found := lookup.saga_type(child)) is not None}


def _write(folder: Path, recorded: RecordedSaga) -> Path:
    file = folder / file_name(recorded)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file.write_text(recorded.text(), encoding="utf-8")
    except OSError as error:
        raise StartupError(f"{file} cannot be written: {error.strerror}.", "Choose another folder: --to DIR.") from None
    return file
