"""The recordings in this repository are of all sagas, fit the code, and have no value that is marked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from app.amends.cli.command_context import client_without_database
from app.amends.cli.compatibility.checking import check_folder
from app.amends.cli.project import project_settings
from app.amends.recordings.files import FOLDER, file_name, read_recording
from app.main import service
from tests.amends.harness import ROOT
from workflows.amends.compatibility.recorded_saga import RecordedSaga, parse_recording

FILES = sorted((ROOT / FOLDER).iterdir())


async def test_each_saga_has_a_recording_and_all_of_them_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.delenv("DATABASE_URL", raising=False)
    report, unreadable = await check_folder(FOLDER, quiet=True)
    assert (unreadable, report.instances, report.fits) == ([], len(FILES), len(FILES))
    assert report.types.keys() == client_without_database(service, project_settings()).sagas.keys()


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_recording_is_as_it_is_written_now(file: Path) -> None:
    recorded = read_recording(file)
    assert file.name == file_name(recorded)
    assert recorded.text() == file.read_text()


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_recording_holds_no_value_that_the_tests_give_to_marked_fields(file: Path) -> None:
    given = ("tok_ok", "tok_declined", "12345", "Ann Example", "Ada Lovelace", "Grace Hopper")
    assert [value for value in given if f'"{value}"' in file.read_text()] == []


def test_a_recording_comes_back_of_its_text() -> None:
    recorded: RecordedSaga = read_recording(FILES[0])
    again: Any = parse_recording(recorded.text(), "again")
    assert again == recorded
