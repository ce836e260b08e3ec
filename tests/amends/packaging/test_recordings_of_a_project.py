"""An upgrade replays the recordings that a project keeps, if it keeps any."""

from __future__ import annotations

from pathlib import Path

from app.amends.scaffold.recorded import replay_command
from app.amends.scaffold.upgrade import Project, _trials


def test_recordings_are_replayed_where_there_are_some(tmp_path: Path) -> None:
    project = Project(tmp_path, "uv")
    assert "Recordings" not in [trial.name for trial in _trials(project)]
    folder = tmp_path / "tests" / "recordings"
    folder.mkdir(parents=True)
    assert replay_command(tmp_path, ("amends",)) == ()
    (folder / "buy.1.s-1.json").write_text("{}")
    (trial,) = (trial for trial in _trials(project) if trial.name == "Recordings")
    replayed = (project.python, "-m", "amends", "workflows", "check", "--recordings", "tests/recordings")
    assert trial.command == replayed
    assert trial.available == (*replayed, "--help")
