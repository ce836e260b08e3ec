"""What newcomers get wrong is said to them: by type checkers where types can tell, else at import, in a test, by a run.

The snippets stand in tests/amends/typing. A line that type checkers refuse ends with the codes of each, or with `wrong`
where both refuse it in their own words. The docstring of a function names who says something else, and what is said:
`import` is the import of such a file, `test` a test of it, `run` the first run of the saga that the function returns.
"""

from __future__ import annotations

import asyncio
import importlib
import inspect
import json
import logging
import re
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import pytest

from domain.amends.errors import DefinitionError
from tests.amends.code.test_code import run
from tests.amends.harness import ROOT
from workflows.amends.simulation import Simulation

FOLDER = ROOT / "tests" / "amends" / "typing"
FILES = sorted(path for path in FOLDER.glob("*.py") if path.name != "__init__.py")
SNIPPETS = {
    f"{path.stem}.{name}": found
    for path in FILES
    if path.stem.startswith("wrong_")
    for name, found in vars(importlib.import_module(f"tests.amends.typing.{path.stem}")).items()
    if inspect.isfunction(found) and found.__doc__ and found.__module__.endswith(path.stem)
}


def marked(checker: str) -> dict[str, set[str]]:
    """The codes with which a checker must refuse each line, by its place; `wrong` for a line that it refuses at all."""
    found = {}
    for path in FILES:
        for number, line in enumerate(path.read_text().splitlines(), 1):
            codes = re.search(rf"# .*\b{checker}: ([\w, -]+)", line)
            if codes or line.endswith("# wrong"):
                found[f"{path.name}:{number}"] = set(codes[1].split(", ")) if codes else {"wrong"}
    return found


def assert_refused(said: dict[str, set[str]], checker: str, output: str) -> None:
    expected = marked(checker)
    for place, codes in expected.items():
        if codes == {"wrong"} and said.get(place):
            said[place] = codes
    assert said == expected, output


@pytest.mark.timeout(900)
def test_mypy_refuses_exactly_what_is_wrong() -> None:
    output = run("-m", "mypy", "--no-error-summary", "--config-file", "pyproject.toml", *map(str, FILES)).stdout
    said: defaultdict[str, set[str]] = defaultdict(set)
    for name, line, code in re.findall(r"(\w+\.py):(\d+): error: .*\[([\w-]+)\]$", output, re.MULTILINE):
        said[f"{name}:{line}"].add(code)
    assert_refused(said, "mypy", output)


@pytest.mark.timeout(900)
def test_pyright_refuses_exactly_what_is_wrong() -> None:
    output = run("-m", "pyright", "--outputjson", *map(str, FILES)).stdout
    said: defaultdict[str, set[str]] = defaultdict(set)
    for each in json.loads(output)["generalDiagnostics"]:
        if each["severity"] == "error" and "rule" in each:
            said[f"{each['file'].rpartition('/')[2]}:{each['range']['start']['line'] + 1}"].add(each["rule"])
    assert_refused(said, "pyright", output)


def said_of(snippet: Callable[[], Any], by: str) -> str:
    """What is said when a snippet is imported or tested, or when the saga that it returns is run."""
    if by == "run":
        saga = snippet()
        result = asyncio.run(Simulation().run(saga, snippet.__globals__["ORDER"]))
        return (result.state.reason or "nothing").removeprefix("a bug between the steps of buy:1: ")
    with pytest.raises((DefinitionError, TypeError)) as raised:
        snippet()
    return str(raised.value) if raised.type is DefinitionError else f"TypeError: {raised.value}"


@pytest.mark.parametrize("name", SNIPPETS)
def test_what_is_said_of_a_snippet(name: str, caplog: pytest.LogCaptureFixture) -> None:
    by, _, says = " ".join(str(SNIPPETS[name].__doc__).split()).partition(": ")
    assert by in ("import", "test", "run", "types")
    if by != "types":
        with caplog.at_level(logging.CRITICAL):
            assert said_of(SNIPPETS[name], by) == says


def test_each_snippet_is_refused_by_somebody() -> None:
    lines = {path.name: path.read_text().splitlines() for path in FILES}
    for name, snippet in SNIPPETS.items():
        source, first = inspect.getsourcelines(snippet)
        file = f"{name.partition('.')[0]}.py"
        body = lines[file][first - 1 : first - 1 + len(source)]
        assert not str(snippet.__doc__).startswith("types") or any(
            re.search(r"# .*(mypy|pyright): ", line) for line in body
        ), name
    assert len(SNIPPETS) > 100
