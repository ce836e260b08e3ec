"""A folder of recordings, one saga in each file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from domain.amends.errors import StartupError
from workflows.amends.compatibility.recorded_saga import NoRecording, RecordedSaga, parse_recording
from workflows.amends.ports.recordings import Recording

FOLDER: Final = Path("tests", "recordings")
"""Where a project keeps recordings that are replayed by its checks."""
PAGE: Final = 50


class FileRecordings:
    """The recordings in a folder, in the order of their names; workflows.amends.ports.recordings has the port.

    `unreadable` says by their names what is wrong with files that are none, as far as they were read. Raises
    StartupError for a folder without any file.
    """

    def __init__(self, folder: Path) -> None:
        if not folder.is_dir():
            raise StartupError(f"There is no folder {folder}.", "Write recordings to it: workflows export --sample 20.")
        self._files = dict(sorted((str(file), file) for file in folder.glob("*.json")))
        self.unreadable: dict[str, str] = {}
        if not self._files:
            raise StartupError(
                f"{folder} has no recordings: no file of it ends with .json.",
                "Write some to it: workflows export --sample 20.",
            )

    @property
    def count(self) -> int:
        """How many files there are."""
        return len(self._files)

    async def page(self, after: str) -> Sequence[Recording]:
        found: list[Recording] = []
        for name, file in self._files.items():
            if name > after and len(found) < PAGE:
                try:
                    found.append(read_recording(file).recording(name))
                except NoRecording as error:
                    self.unreadable[name] = str(error)
        return found


def read_recording(file: Path) -> RecordedSaga:
    """The recording in a file. Raises NoRecording."""
    if not file.is_file():  # whoever opens a pipe waits for ever
        raise NoRecording(str(file), "is no file: delete it")
    try:
        text = file.read_bytes()
    except OSError as error:
        raise NoRecording(str(file), f"cannot be read: {error.strerror}") from None
    return parse_recording(text, str(file))


def file_name(saga: RecordedSaga) -> str:
    """The name of the file that a saga is written to: no id has the character that stands for a colon."""
    return f"{saga.name}.{saga.version}.{saga.id}.json".replace(":", "~")
