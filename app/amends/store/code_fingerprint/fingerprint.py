"""The version of an aggregate's code: snapshots of other code are not used."""

from __future__ import annotations

import logging
import sys
import weakref
from functools import cache
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, packages_distributions, version
from types import FunctionType
from typing import Any

from app.amends.store.code_fingerprint.loaded_code import LoadedCode
from domain.amends.aggregate import Aggregate
from workflows.amends.ports import event_store as events
from workflows.amends.values import codec
from workflows.amends.values.printable import error_message

log = logging.getLogger("amends.store")

READERS = (codec, events)
"""The modules by whose functions events and states are read from JSON."""

PYTHON = (sys.implementation.name, *sys.version_info[:3], sys.flags.optimize)
"""The Python that runs; without assertions it is another one."""

_known: dict[int, tuple[weakref.ref[Aggregate[Any, Any]], str | None]] = {}


def code_version(aggregate: Aggregate[Any, Any]) -> str | None:
    """A digest of all code that the aggregate's state may come from, as it is loaded; None if some cannot be seen.

    It covers too much rather than too little: a snapshot that is dropped too early costs a fold; one that is kept too
    long would be a wrong balance. It is computed once, and best before anything is folded.
    """
    found = _known.get(id(aggregate))
    if found is not None and found[0]() is aggregate:
        return found[1]
    made = _made(aggregate)
    key = id(aggregate)
    _known[key] = (weakref.ref(aggregate, lambda gone: _forget(key, gone)), made)
    return made


def _forget(key: int, gone: weakref.ref[Any]) -> None:
    if key in _known and _known[key][0] is gone:
        del _known[key]


def _made(aggregate: Aggregate[Any, Any]) -> str | None:
    fold = (aggregate.evolve, aggregate.folding, aggregate.initial, aggregate.vocabulary.classes, aggregate.state_type)
    try:
        modules = {aggregate.evolve.__module__, *(cls.__module__ for cls in aggregate.vocabulary)}
        code = LoadedCode(own={name.partition(".")[0] for name in modules})
        parts = [
            *map(code.digest_of, fold),
            *_readers(),
            *(part for pair in sorted(code.module_digests().items()) for part in pair),
        ]
    except Exception as error:
        why = error_message(error)
        log.warning("No snapshots are kept of aggregates of the category %s: %s", aggregate.category, why)
        return None
    packages = [f"{name} {_version(name)}" for name in sorted(code.installed | {"pydantic"})]
    whole = [part.hex() if isinstance(part, bytes) else part for part in parts]
    return sha256(repr((PYTHON, packages, whole)).encode()).hexdigest()[:16]


@cache
def _readers() -> tuple[bytes, ...]:
    """The code that reads events and states from JSON, without its caches."""
    code, found = LoadedCode(), [(module, *item) for module in READERS for item in sorted(vars(module).items())]
    return tuple(
        code.content_digest(value)
        for module, _, value in found
        if isinstance(value, FunctionType) and value.__module__ == module.__name__
    )


@cache
def _version(package: str) -> str:
    """The version of an installed package, by the name by which it is imported."""
    try:
        return version(package)
    except PackageNotFoundError:
        found = sorted(set(packages_distributions().get(package, ())))
        return ", ".join(f"{name} {version(name)}" for name in found)
