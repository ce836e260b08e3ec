"""The code that a fold depends on, as it is loaded: other code has another fingerprint, the same code the same one."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from textwrap import dedent
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import URL

from app.amends.schema.catalogue import load_catalogue
from app.amends.store.code_fingerprint.fingerprint import _made, code_version
from app.amends.store.code_fingerprint.imports import module_origin
from domain.amends.aggregate import Aggregate
from domain.amends.event import Cause
from tests.amends.harness import ROOT
from tests.amends.store.code_fingerprint.folds import FOLDS, by
from tests.amends.store.harness.accounts import bank
from workflows.amends.ports.event_store import new_business_event

PROJECT = {
    "shop/__init__.py": "from shop.order import orders\n",
    "shop/order.py": """
        import importlib
        from dataclasses import dataclass, field
        import prices.steps as steps
        import prices.deep.table
        from domain.amends.aggregate import Aggregate
        from domain.amends.event import event, upcasts
        from prices import rate
        from prices.more import *
        from prices.constants import FLAT
        from . import near

        @event("sold", version=2)
        class Sold:
            amount: int = 7

        @upcasts(Sold, 1)
        def _since(data):
            return {"amount": data["cents"]}

        @dataclass(frozen=True)
        class Till:
            total: int = 0
            extra: list[int] = field(default_factory=lambda: [5])

            @property
            def doubled(self) -> int:
                return self.total * 2

        def evolve(till: Till, event: Sold) -> Till:
            from taxes.eu import vat
            from taxes import later
            abroad = importlib.import_module("taxes.us")
            extra = vat(event.amount) + abroad.duty(event.amount) + later.fee()
            table = prices.deep.table.look(event.amount)
            total = till.total + rate(event.amount) + steps.step() + near.near() + more() + FLAT + extra + table
            return Till(total)

        orders = Aggregate("shop-order", Till(), evolve)
        """,
    "shop/near.py": "def near(): return 3\n",
    "shop/alone.py": "def alone(): return 3\n",
    "prices/__init__.py": "from prices.rates import rate\n",
    "prices/rates.py": """
        import functools
        from enum import Enum
        from prices import inner
        TABLE = {"a": (1, 2.5), "b": [3, {4, 5}]}
        NAMES = frozenset({"x", "y", "z"})
        class Kind(Enum):
            NET = 1
        class Base:
            FACTOR = 2
            def times(self, n, by=10): return n * by * self.FACTOR
            @staticmethod
            def fixed(): return 11
            @classmethod
            def made(cls): return 12
        class Rule(Base):
            pass
        def twice(function):
            @functools.wraps(function)
            def wrapper(n): return function(n) * 2
            return wrapper
        @twice
        def rate(n, plus=13):
            # a comment
            return inner.inner(n) + Rule().times(n) + len(NAMES) + (n in {"p", "q"}) + PICK(n) + remembered(n) + plus
        PICK = functools.partial(max, 14)
        @functools.cache
        def remembered(n): return n + 15
        """,
    "prices/inner.py": "def inner(n): return (lambda m: m + 16)(n)\n",
    "prices/steps.py": "def step(): return 17\n",
    "prices/more.py": "SOME = 18\ndef more(): return SOME\n",
    "prices/constants.py": "FLAT = 19\n",
    "prices/deep/__init__.py": "",
    "prices/deep/table.py": "def look(n): return 20\n",
    "taxes/eu.py": "from . import base\ndef vat(n): return base.base(n)\n",
    "taxes/base.py": "def base(n): return 21\n",
    "taxes/us.py": "def duty(n): return 22\n",
    "taxes/later.py": "def fee(): return 23\n",
}
CHANGED = [
    ("shop/order.py", "till.total +", "till.total -"),
    ("shop/order.py", "int = 7", "int = 8"),
    ("shop/order.py", '"cents"', '"money"'),
    ("shop/order.py", "[5]", "[6]"),
    ("shop/order.py", "* 2", "* 3"),
    ("shop/near.py", "3", "4"),
    ("prices/__init__.py", "rate\n", "rate as _r\ndef rate(n): return _r(n)\n"),
    ("prices/rates.py", "(1, 2.5)", "(1, 2.6)"),
    ("prices/rates.py", "{4, 5}", "{4, 6}"),
    ("prices/rates.py", '"z"', '"w"'),
    ("prices/rates.py", '"q"', '"r"'),
    ("prices/rates.py", "NET = 1", "NET = 2"),
    ("prices/rates.py", "FACTOR = 2", "FACTOR = 3"),
    ("prices/rates.py", "by=10", "by=9"),
    ("prices/rates.py", "return 11", "return 10"),
    ("prices/rates.py", "return 12", "return 10"),
    ("prices/rates.py", "class Rule(Base)", "class Rule(Base, Exception)"),
    ("prices/rates.py", "function(n) * 2", "function(n) * 3"),
    ("prices/rates.py", "plus=13", "plus=12"),
    ("prices/rates.py", "max, 14", "max, 15"),
    ("prices/rates.py", "max, 14", "min, 14"),
    ("prices/rates.py", "n + 15", "n + 16"),
    ("prices/inner.py", "16", "15"),
    ("prices/steps.py", "17", "16"),
    ("prices/more.py", "18", "17"),
    ("prices/constants.py", "19", "18"),
    ("prices/deep/table.py", "20", "19"),
    ("taxes/base.py", "21", "20"),
    ("taxes/us.py", "22", "21"),
    ("taxes/later.py", "23", "22"),
]
UNCHANGED = [
    ("prices/rates.py", "# a comment", "# another one\n"),
    ("prices/rates.py", "import functools\n", "\n\n\nimport functools\n"),
    ("shop/alone.py", "3", "4"),
]


LATER = count()
"""What is compiled is known by the second and the size of its source."""


def written(folder: Path, *change: str) -> Path:
    """The project in a folder, with one change."""
    for name, source in PROJECT.items():
        path, kept = folder / name, dedent(source)
        if change and name == change[0]:
            _, old, new = change
            assert old in kept
            kept = kept.replace(old, new)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(kept)
        os.utime(path, (stamp := path.stat().st_mtime + next(LATER), stamp))
    return folder


@pytest.fixture
def loaded() -> Iterator[Callable[[Path], Any]]:
    """Loads the project of a folder, as a new process would."""
    before, path = set(sys.modules), list(sys.path)

    def forget() -> None:
        sys.path[:] = path
        for name in set(sys.modules) - before:
            if name.partition(".")[0] in ("shop", "prices", "taxes"):
                del sys.modules[name]

    def load(folder: Path) -> Any:
        forget()
        sys.path.insert(0, str(folder))
        importlib.invalidate_caches()
        return importlib.import_module("shop").orders

    yield load
    forget()


Load = Callable[[Path], Any]


@pytest.mark.parametrize("change", CHANGED, ids=lambda change: f"{change[0]} {change[2]}".strip())
def test_whatever_a_fold_uses_changes_its_fingerprint(loaded: Load, tmp_path: Path, change: tuple[str, ...]) -> None:
    before = code_version(loaded(written(tmp_path / "before")))
    after = code_version(loaded(written(tmp_path / "after", *change)))
    assert before is not None
    assert after is not None
    assert before != after


@pytest.mark.parametrize("change", UNCHANGED, ids=lambda change: change[0])
def test_what_it_does_not_use_does_not(loaded: Load, tmp_path: Path, change: tuple[str, ...]) -> None:
    before = code_version(loaded(written(tmp_path / "before")))
    assert before == code_version(loaded(written(tmp_path / "after", *change)))


@pytest.mark.parametrize("change", [CHANGED[0], *CHANGED[-4:]], ids=lambda change: change[0])
def test_files_that_are_replaced_under_a_running_process_change_nothing(
    loaded: Load, tmp_path: Path, change: tuple[str, ...]
) -> None:
    before = loaded(written(tmp_path))
    expected = code_version(before)
    written(tmp_path, *change)
    again = Aggregate(before.category, before.initial, before.evolve)
    assert code_version(again) == expected, "what runs is what was loaded"
    assert code_version(loaded(tmp_path)) != expected, "a new process loads the new files"


@pytest.mark.parametrize(("change", "counts"), [(CHANGED[5], True), (CHANGED[0], True), (CHANGED[23], False)])
def test_what_is_installed_counts_by_version_but_for_the_packages_of_the_fold_itself(
    loaded: Load, tmp_path: Path, change: tuple[str, ...], counts: bool
) -> None:
    before = code_version(loaded(written(tmp_path / "before" / "site-packages")))
    after = code_version(loaded(written(tmp_path / "after" / "site-packages", *change)))
    assert (before != after) is counts


def test_what_is_folded_does_not_change_the_fingerprint(loaded: Load, tmp_path: Path) -> None:
    orders = loaded(written(tmp_path))
    before = code_version(orders)
    sold = orders.vocabulary.classes[0]
    orders.fold([sold(1), sold(2)])
    assert _made(orders) == before
    for each in load_catalogue().aggregates.values():
        assert code_version(each) == _made(each)


@pytest.mark.parametrize("change", [CHANGED[0], CHANGED[12], CHANGED[-4], CHANGED[-1]], ids=lambda change: change[0])
async def test_a_snapshot_of_other_code_is_not_believed(
    loaded: Load, tmp_path: Path, database_18: URL, change: tuple[str, ...]
) -> None:
    async with bank(database_18, snapshot_every=2) as it:
        orders = loaded(written(tmp_path))
        (sold,) = orders.vocabulary.classes
        await it.events.append([new_business_event("shop-order-1", sold(number), Cause()) for number in range(4)])
        before = await it.loader.load(orders, "shop-order-1")
        await it.loader.settle()
        written(tmp_path, *change)
        assert await it.loader.load(orders, "shop-order-1") == before
        await it.loader.settle()
        orders = loaded(tmp_path)
        (sold,) = orders.vocabulary.classes
        expected = orders.fold([sold(number) for number in range(4)])
        assert await it.loader.load(orders, "shop-order-1") == (expected, 4)
        assert vars(expected) != vars(before[0]), "the change is one that shows"


SHOWN = """
import sys
sys.path.insert(0, sys.argv[1])
from app.amends.schema.catalogue import load_catalogue
from app.amends.store.code_fingerprint.fingerprint import code_version
import shop
print([code_version(each) for each in (shop.orders, *load_catalogue().aggregates.values())])
"""


def in_a_process(folder: Path, seed: str) -> str:
    environment = os.environ | {"PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": seed}
    command = [sys.executable, "-c", SHOWN, str(folder)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True, cwd=folder).stdout


def test_the_same_code_has_the_same_fingerprint_in_every_process(tmp_path: Path) -> None:
    here = written(tmp_path / "here")
    said = {in_a_process(here, "0"), in_a_process(here, "1"), in_a_process(written(tmp_path / "there"), "2")}
    assert len(said) == 1
    assert "None" not in said.pop()


def test_two_folds_have_two_fingerprints_and_each_its_own_for_good() -> None:
    first, again = [[code_version(made()) for made in FOLDS] for _ in range(2)]
    assert first == again
    assert None not in first
    assert len(set(first)) == len(FOLDS)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary(),
    lambda inner: st.lists(inner) | st.tuples(inner, inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@settings(max_examples=60, deadline=None)
@given(one=VALUES, two=VALUES)
def test_folds_that_hold_other_values_differ(one: Any, two: Any) -> None:
    versions = [code_version(Aggregate("count", 0, by(value))) for value in (one, two)]
    assert (versions[0] == versions[1]) == (repr(one) == repr(two))


def test_code_that_cannot_be_seen_has_no_fingerprint(caplog: pytest.LogCaptureFixture) -> None:
    compiled = ModuleType("compiled_rates")
    compiled.__file__ = f"/srv/rates{importlib.machinery.EXTENSION_SUFFIXES[0]}"
    assert code_version(Aggregate("count", 0, by(compiled))) is None
    assert "compiled_rates is compiled" in caplog.text


@pytest.mark.parametrize(
    ("name", "namespace", "origin"),
    [
        ("json", vars(importlib.import_module("json")), "python"),
        ("sys", vars(sys), "python"),
        ("pydantic", vars(importlib.import_module("pydantic")), "installed"),
        ("app.amends.service", {"__file__": "/srv/shop/app/amends/service.py"}, "project"),
        ("rates", {"__file__": "/usr/lib/python3/dist-packages/rates.py"}, "installed"),
        ("google", {"__path__": ["/venv/lib/python3.11/site-packages/google"]}, "installed"),
        ("domain", {"__path__": ["/srv/shop/domain"]}, "project"),
        ("made_by_hand", {}, "project"),
    ],
)
def test_what_is_neither_pythons_nor_installed_is_the_projects(name: str, namespace: Any, origin: str) -> None:
    assert module_origin(name, namespace) == origin
