"""Whoever points at a public word in an editor, or asks `python -m pydoc`, is told what it is."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Iterator
from typing import Any

import pytest

MODULES = {
    "workflows.amends.saga": "workflows",
    "workflows.amends.simulation": "workflows",
    "workflows.amends.providers": "workflows",
    "app.amends.service": "app",
    "app.amends.settings": "app",
    "domain.amends.aggregate": "domain",
    "domain.amends.errors": "domain",
    "domain.amends.event": "domain",
    "domain.amends.projection": "domain",
    "domain.amends.sender": "domain",
    "domain.amends.sensitive": "domain",
    "domain.amends.testing": "domain",
}
"""What teams import, and the ring in which what they import is declared."""


def public(module: str) -> Iterator[tuple[str, Any]]:
    """The public words of a module, and what each has, by name."""
    found = importlib.import_module(module)
    for name in getattr(found, "__all__", None) or [each for each in vars(found) if not each.startswith("_")]:
        value = vars(found)[name]
        own = getattr(value, "__module__", "").startswith(f"{MODULES[module]}.amends")
        if not own or not (inspect.isclass(value) or inspect.isfunction(value)):
            continue
        if not hasattr(found, "__all__") and value.__module__ != module:
            continue
        yield name, value
        for part, member in vars(value).items() if inspect.isclass(value) else ():
            plain = (
                getattr(member, "fget", None) or getattr(member, "func", None) or getattr(member, "__func__", member)
            )
            if not part.startswith("_") and inspect.isfunction(plain) and plain.__module__ == value.__module__:
                yield f"{name}.{part}", plain


WORDS = {f"{module}:{name}": value for module in MODULES for name, value in public(module)}


@pytest.mark.parametrize("word", WORDS)
def test_a_public_word_says_what_it_is(word: str) -> None:
    value = WORDS[word]
    doc = (vars(value).get("__doc__") if inspect.isclass(value) else value.__doc__) or ""
    assert not doc.startswith(f"{value.__name__}("), "a dataclass without a docstring is given its signature"
    whole = inspect.cleandoc(doc)
    assert " " in whole, f"{word} has no docstring"
    assert whole[0].isupper() or not whole[0].isalpha()
    assert whole[-1] in ".)}`", f"{word} ends with no sentence: {whole!r}"


def test_there_are_words() -> None:
    assert len(WORDS) > 100
