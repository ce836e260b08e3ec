"""Two refusals of one name: a saga means the one that its own file declares or imports, also after a restart."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import ClassVar

import pytest

from domain.amends.errors import DefinitionError
from tests.amends.harness import ROOT
from workflows.amends.simulation.simulation import Simulation
from workflows.amends.values.refusals import refusal_class, require_distinct_refusals

FILE = """
from __future__ import annotations

from dataclasses import dataclass

from domain.amends.errors import Refusal
from workflows.amends.saga import Call, Saga, step
{imports}
{declares}


@dataclass(frozen=True)
class Selling(Saga[str, str], name="{name}", version={version}):
    calls: list[str]

    async def run(self, request: str) -> str:
        try:
            await self.hold()
        except SoldOut as no:
            return f"{version}: {{no.left}}"
        return "held"

    @step(compensation=None)
    async def hold(self, call: Call) -> None:
        self.calls.append(call.key)
        raise SoldOut({left})
"""
DECLARES = '''
class SoldOut(Refusal, name="NAME"):
    """Only {{left}} are left."""

    left: {type}
'''


@pytest.fixture
def file() -> type[File]:
    File.number += 1
    return File


class File:
    """A file of a team's, as Python has it once it is imported."""

    number: ClassVar[int] = 0
    """Of the test: what is imported once stays, so that each test has names of its own."""

    def __init__(self, name: str, source: str) -> None:
        source = source.replace("NAME", self.refusal()).replace("a_team_s", self.team())
        self.name = f"{self.team()}.{name}"
        module = ModuleType(self.name)
        sys.modules[self.name] = module
        exec(source, vars(module))
        self.names = vars(module)

    @classmethod
    def team(cls) -> str:
        """The package of the test's files."""
        return f"a_team_s_{cls.number}"

    @classmethod
    def refusal(cls) -> str:
        """The name of the test's refusal."""
        return f"sold-out-{cls.number}"


def selling(version: int, imports: str = "", type: str = "int", left: str = "3") -> str:
    declares = "" if imports else DECLARES.format(type=type)
    return FILE.format(imports=imports, declares=declares, version=version, left=left, name="selling-here")


async def play(made: File, crash: int) -> str:
    on, calls = Simulation(), list[str]()
    if crash:
        on.crash(crash, landed=True)
    played = await on.run(made.names["Selling"](calls), "x")
    assert len(calls) == 1, "it is not asked again after the crash"
    return str(played.result)


@pytest.mark.parametrize("crash", [0, 1])
async def test_each_version_of_a_saga_has_its_own(file: type[File], crash: int) -> None:
    one = file("selling_v1", selling(1))
    two = file("selling", selling(2, type="str", left="'few'"))
    require_distinct_refusals()
    assert await play(one, crash) == "1: 3"
    assert await play(two, crash) == "2: few"


@pytest.mark.parametrize("crash", [0, 1])
async def test_what_a_saga_imports_counts(file: type[File], crash: int) -> None:
    declares = "from domain.amends.errors import Refusal\n" + DECLARES
    file("shops", declares.format(type="int"))
    file("hotels", declares.format(type="str"))
    one = file("selling", selling(1, imports="from a_team_s.shops import SoldOut"))
    two = file("booking", selling(2, imports="from a_team_s.hotels import SoldOut", left="'few'"))
    require_distinct_refusals()
    assert await play(one, crash) == "1: 3"
    assert await play(two, crash) == "2: few"


def test_a_clash_that_no_saga_settles_is_refused_at_the_start(file: type[File]) -> None:
    declares = "from domain.amends.errors import Refusal\n" + DECLARES
    first = file("gateway_one", declares.format(type="int"))
    second = file("gateway_two", declares.format(type="str"))
    with pytest.raises(DefinitionError, match=r"gateway_one.SoldOut and \S+.gateway_two.SoldOut"):
        require_distinct_refusals()
    assert refusal_class(file.refusal()) is None
    assert refusal_class(file.refusal(), first.name) is first.names["SoldOut"]
    assert refusal_class(file.refusal(), second.name) is second.names["SoldOut"]
    file("selling", selling(1, imports="from a_team_s.gateway_one import SoldOut"))
    require_distinct_refusals()


async def test_a_gateway_has_one_of_its_own_beside_that_of_a_saga(file: type[File]) -> None:
    declares = "from domain.amends.errors import Refusal\n" + DECLARES
    gateway = file("gateway", declares.format(type="str"))
    saga = file("selling", selling(1))
    require_distinct_refusals()
    assert refusal_class(file.refusal()) is gateway.names["SoldOut"]
    assert refusal_class(file.refusal(), saga.name) is saga.names["SoldOut"]


GATEWAY = """
from a_team_s.selling import SoldOut


async def hold():
    raise SoldOut({left})
"""


def selling_by_gateway(version: int) -> str:
    source = selling(version, imports=declared("SoldOut", "int").replace("gone", "NAME"))
    return source.replace(
        "        raise SoldOut(3)", "        from a_team_s.gateway import hold\n\n        await hold()"
    )


@pytest.mark.parametrize("crash", [0, 1])
async def test_a_gateway_of_all_versions_refuses_each_as_its_own_file_says(file: type[File], crash: int) -> None:
    two = file("selling", selling_by_gateway(2))
    file("gateway", GATEWAY.format(left=3))
    one = file("selling_v1", selling_by_gateway(1))
    require_distinct_refusals()
    assert await play(one, crash) == "1: 3"
    assert await play(two, crash) == "2: 3"


def test_what_an_old_file_knows_not_is_known_by_the_newer_one(file: type[File]) -> None:
    newer = file("selling", selling(2))
    older = file("selling_v1", selling(1, imports="from random import Random as SoldOut"))
    file("renting", selling(1, type="str").replace("selling-here", "renting-here"))
    require_distinct_refusals()
    assert refusal_class(file.refusal(), older.name) is newer.names["SoldOut"]


async def test_a_refusal_with_other_facts_than_its_file_says_is_for_an_operator(file: type[File]) -> None:
    file("selling", selling_by_gateway(2).replace("left: int", "left: str"))
    file("gateway", GATEWAY.format(left="'few'"))
    one = file("selling_v1", selling_by_gateway(1))
    result = await Simulation().run(one.names["Selling"]([]), "x")
    assert result.state.status == "stuck"
    assert "that this saga's file knows does not take its facts: left" in str(result.state.reason)


def refused(folder: Path, source: str) -> str:
    """What is said at the start of a process whose sagas are in this file; nothing if it starts."""
    (folder / "selling.py").write_text(source)
    code = (
        "import selling; from workflows.amends.values.refusals import require_distinct_refusals as require; require()"
    )
    paths = f"import sys; sys.path[:0] = [{str(folder)!r}, {str(ROOT)!r}]; "
    done = subprocess.run([sys.executable, "-c", paths + code], capture_output=True, text=True, check=False)
    return done.stderr.strip().splitlines()[-1] if done.stderr else ""


def declared(name: str, fact: str) -> str:
    lines = DECLARES.format(type=fact).replace("NAME", "gone").replace("SoldOut", name)
    return "from datetime import date, datetime\n" + lines


def test_two_in_one_file_are_refused_at_the_start(tmp_path: Path) -> None:
    source = selling(1, imports=declared("SoldOut", "int") + declared("Gone", "int"))
    assert "refusal 'gone': is declared by selling.Gone and selling.SoldOut" in refused(tmp_path, source)
    assert refused(tmp_path, selling(1, imports=declared("SoldOut", "int"))) == ""


def test_one_that_is_known_by_its_module_counts_as_imported(tmp_path: Path) -> None:
    for name in ("shops", "hotels"):
        (tmp_path / f"{name}.py").write_text("from domain.amends.errors import Refusal\n" + declared("SoldOut", "int"))
    imports = "import shops\nfrom hotels import SoldOut"
    said = refused(tmp_path, selling(1, imports=imports))
    assert "refusal 'gone': is declared by hotels.SoldOut and shops.SoldOut" in said
    assert refused(tmp_path, selling(1, imports="import shops\nSoldOut = shops.SoldOut")) == ""


@pytest.mark.parametrize("fact", ["object", "date | datetime", "frozenset[int]"])
def test_facts_that_would_not_come_back_are_refused_at_the_start(tmp_path: Path, fact: str) -> None:
    said = refused(tmp_path, selling(1, imports=declared("SoldOut", fact)))
    assert "refusal 'gone': does not survive JSON" in said
