"""A folder of recordings: what is none is said in a sentence with its name, and holds up nothing."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from app.amends.recordings.files import FileRecordings, read_recording
from workflows.amends.compatibility.recorded_saga import NoRecording

WRONG: dict[str, tuple[str, str]] = {
    "empty": ("", "is no JSON"),
    "cut off": ('{"format": 1, "name": "buy', "is no JSON"),
    "something else": ("[]", "is no recording: it has no number under"),
    "a later format": ('{"format": 2}', "has format 2, and this version of Amends reads format 1"),
    "lists in lists": ("[" * 100_000, "is nested too deeply"),
    "lists in lists that end": ('{"format": 1, "input": ' + "[" * 100_000 + "]" * 100_000 + "}", "nested too deeply"),
    "a part of one": ('{"format": 1}', "is no recording: name"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_file_that_is_no_recording_is_said(tmp_path: Path, case: str) -> None:
    text, problem = WRONG[case]
    file = tmp_path / "wrong.json"
    file.write_text(text)
    with pytest.raises(NoRecording, match=problem) as said:
        read_recording(file)
    assert str(file) in str(said.value)


async def test_what_is_no_file_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.json")
    (tmp_path / "folder.json").mkdir()
    (tmp_path / "nowhere.json").symlink_to("gone")
    recordings = FileRecordings(tmp_path)
    assert await recordings.page("") == []
    assert [said.split()[-5:] for said in recordings.unreadable.values()] == [
        ["is", "no", "file:", "delete", "it."]
    ] * 3
