"""Output that cannot be written: one sentence if the disk is full, and silence if whoever reads has seen enough."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.amends.harness import ROOT

AMENDS = (sys.executable, "-m", "amends")
FULL = Path("/dev/full")


@pytest.mark.skipif(not FULL.exists(), reason="there is no /dev/full on this system")
@pytest.mark.parametrize("command", ["--help", "doctor --json", "workflows list --help"])
def test_a_full_disk_is_one_sentence(command: str) -> None:
    with FULL.open("w") as full:
        done = subprocess.run([*AMENDS, *command.split()], stdout=full, stderr=subprocess.PIPE, text=True, cwd=ROOT)
    assert done.returncode == 1
    assert done.stderr == (
        "The output cannot be written: No space left on device.\n  See that there is room where it goes.\n"
    )


@pytest.mark.parametrize("command", ["--help", "doctor --json"])
def test_a_reader_that_has_gone_is_no_error(command: str) -> None:
    with subprocess.Popen(
        [*AMENDS, *command.split()], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == ""
    assert process.returncode == 1


def test_without_standard_output_a_command_does_what_it_does() -> None:
    command = f"{sys.executable} -m amends --help >&-"
    done = subprocess.run(command, shell=True, stderr=subprocess.PIPE, text=True, cwd=ROOT)
    assert (done.returncode, done.stderr) == (0, "")
