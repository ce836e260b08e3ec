"""What is locked of the example and of Amends, in two files and two folders of samples, is what the code says."""

from __future__ import annotations

import json

from app.amends.cli.schema import project_schema
from tests.amends.harness.program import amends


def test_the_committed_files_and_samples_say_what_the_code_does() -> None:
    files, known, code = project_schema()
    assert list(files.problems(known, code, files.read(code))) == []


def test_the_command_says_that_all_is_well() -> None:
    done = amends("schema", "check")
    assert (done.returncode, done.stdout) == (0, "Everything has the shape and the marks that are locked.\n")
    assert json.loads(amends("schema", "check", "--json").stdout) == {"problems": []}
