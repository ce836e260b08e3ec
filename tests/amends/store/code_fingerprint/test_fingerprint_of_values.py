"""The data that a fold uses: other data has another fingerprint, whatever it is held in."""

from __future__ import annotations

import copyreg
import decimal
import os
import random
import subprocess
import sys
import threading
from collections.abc import Callable
from logging import getLogger
from typing import Any

import pytest

from app.amends.store.code_fingerprint.fingerprint import _made, code_version
from domain.amends.aggregate import Aggregate
from tests.amends.harness import ROOT
from tests.amends.store.code_fingerprint.folds import by
from tests.amends.store.code_fingerprint.held import CALLED, NUMBERS, VALUES, Loud, Registered, Remembering


def version(value: Any) -> str | None:
    return code_version(Aggregate("count", 0, by(value)))


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value(1)).__name__)
def test_whatever_holds_the_data_of_a_fold_it_counts(value: Callable[[int], Any]) -> None:
    one, again, two = version(value(1)), version(value(1)), version(value(2))
    assert one is not None
    assert one == again
    assert two not in (None, one)


def test_what_a_value_remembers_does_not_count() -> None:
    remembering, context, lock = Remembering(), decimal.Context(prec=3), threading.RLock()
    aggregate = Aggregate("count", 0, by((remembering, context, lock, getLogger("x"), random.random, random.randint)))
    before = _made(aggregate)
    assert remembering.doubled == 2
    context.divide(1, 3)
    random.random()
    assert before is not None
    assert _made(aggregate) == before


def test_what_is_registered_to_be_copied_is_asked_for_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(copyreg.dispatch_table, Registered, lambda value: (Registered, (NUMBERS.pop(),)))
    NUMBERS[:] = [1, 2]
    assert version(Registered()) != version(Registered())


def test_nothing_is_called_that_a_value_would_be_made_by() -> None:
    assert version(Loud()) is not None
    assert CALLED == []


@pytest.mark.parametrize(
    "value", [lambda: (n for n in [1]), lambda: memoryview(b"a"), threading.local], ids=["generator", "view", "local"]
)
def test_what_cannot_be_told_has_no_fingerprint(value: Callable[[], Any], caplog: pytest.LogCaptureFixture) -> None:
    assert version(value()) is None
    assert "cannot be looked into" in caplog.text


DOCUMENTED = '''
"""{doc}"""
class Kind:
    """{cls}"""
def looked(n): return __doc__, Kind.__doc__
def plain(n): return 1
'''


def documented(function: str, doc: str, cls: str) -> str | None:
    """The fingerprint of a fold that uses a function of a module with these docstrings."""
    source = DOCUMENTED.format(doc=doc, cls=cls)
    if function == "plain":
        source = source.replace("def looked(n): return __doc__, Kind.__doc__\n", "")
    module = type(sys)("written_by_hand")
    exec(source, vars(module))
    return version(module)


def test_the_docstring_of_a_module_or_class_counts_where_code_uses_it() -> None:
    said = {documented("looked", doc, cls) for doc in "ab" for cls in "ab"}
    assert len(said) == 4
    assert None not in said


SHOWN = """
from tests.amends.store.code_fingerprint.test_fingerprint_of_values import VALUES, version
print([version(made(1)) for made in VALUES])
"""


def test_the_same_data_has_the_same_fingerprint_in_every_process() -> None:
    said = set()
    for seed in ("0", "1"):
        environment = os.environ | {"PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)}
        command = [sys.executable, "-c", SHOWN]
        said.add(subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout)
    assert len(said) == 1
    assert "None" not in said.pop()
