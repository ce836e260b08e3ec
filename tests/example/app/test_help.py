"""The help says how each command is typed here, with examples that are right; shells complete what can be typed."""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
import typer

from app.amends.cli.help.examples import EXAMPLES, add_examples
from app.amends.cli.main import app
from app.amends.output.typed_commands import as_typed
from tests.amends.harness.program import amends, environment_of
from tests.example.server import ROOT


def commands(group: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """All commands below a group of Amends' own, by what is typed."""
    for name, each in group.commands.items():
        whole = f"{path} {name}".strip()
        yield from commands(each, whole) if hasattr(each, "commands") else [(whole, each)]


def test_every_command_has_examples_that_can_be_typed() -> None:
    found = dict(commands(typer.main.get_command(app)))
    assert found.keys() == EXAMPLES.keys()
    for path, command in found.items():
        for example in EXAMPLES[path]:
            words = shlex.split(example.partition(" <")[0])
            assert " ".join(words).startswith(path)
            command.make_context(path, words[len(path.split()) :])


@pytest.mark.parametrize(("typed", "shown"), [("./run amends", "./run amends"), ("", "amends")])
def test_help_shows_how_a_command_is_typed_here(
    typed: str, shown: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("_AMENDS_PROGRAM", typed)
    with pytest.raises(SystemExit):
        add_examples(typer.main.get_command(app)).main(["workflows", "show", "--help"], prog_name="amends")
    said = " ".join(capsys.readouterr().out.split())
    assert f"Usage: {shown} workflows show" in said
    assert f"For example: {shown} workflows show 4711 {shown} workflows show 4711 --watch" in said


def test_what_is_to_be_done_is_said_as_it_is_typed_here(monkeypatch: pytest.MonkeyPatch) -> None:
    remedy = "./run up starts it, ./run amends workflows list shows it, ./run test is a project's own: Run ./run up."
    monkeypatch.setenv("_AMENDS_PROGRAM", "./run amends")
    assert as_typed(remedy) == remedy
    monkeypatch.delenv("_AMENDS_PROGRAM")
    assert as_typed(remedy) == (
        "amends up starts it, amends workflows list shows it, ./run test is a project's own: Run amends up."
    )


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("amends workflows start b", ["book-group-trip", "book-trip"]),
        ("amends workflows list --status st", ["stranded", "stuck"]),
        ("amends projections list o", ["order_board"]),
        ("amends de", ["demo"]),
    ],
)
def test_a_shell_is_offered_what_can_be_typed(words: str, offered: list[str]) -> None:
    asked = {"_AMENDS_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": str(len(words.split()) - 1)}
    done = amends(environment=environment_of(None) | asked)
    assert sorted(done.stdout.split()) == offered


def test_nothing_is_offered_where_the_settings_are_wrong() -> None:
    asked = {"_AMENDS_COMPLETE": "complete_bash", "COMP_WORDS": "amends workflows start b", "COMP_CWORD": "3"}
    done = amends(environment=environment_of(None, lease_seconds="soon") | asked)
    assert (done.stdout.strip(), done.stderr) == ("", "")


def test_bash_completes_the_launcher_and_starts_no_other_one() -> None:
    script = """
        eval "$(./run completion)"
        offer() {
          COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=()
          _amends_run_completion "$1"
          echo "${COMPREPLY[@]}"
        }
        offer ./run doc
        offer ./run amends workflows sh
        offer /bin/true amends workflows sh
    """
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout.splitlines() == ["doctor", "show", ""]
