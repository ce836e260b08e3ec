"""Samples of events as they are stored, one of each version: what was ever stored must be readable for ever."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any, TypeAlias

from app.amends.schema.catalogue import DomainCatalogue
from app.amends.schema.example import ExampleValue
from app.amends.schema.lock import Shapes
from domain.amends.contained import call_contained
from domain.amends.event import EventType, event_type
from domain.amends.vocabulary import Unreadable
from workflows.amends.ports.event_store import load_event
from workflows.amends.values.codec import dump
from workflows.amends.values.printable import error_message

log = logging.getLogger("amends.schema")

TRIES = 100
"""How often a value that a class refuses is replaced by another one."""

Named: TypeAlias = dict[EventType, Path]
_NAME = re.compile(r"([a-z0-9-]+)\.([1-9]\d*)")


def sample_problems(catalogue: DomainCatalogue, locked: Shapes, folder: Path) -> Iterator[str]:
    """The problems of the samples: each that today's code does not read, and each that is missing."""
    where = "/".join(folder.parts[-2:])
    known = {EventType(name, int(version)) for name, versions in locked.items() for version in versions}
    for path in sorted(folder.glob("*")):
        if (stored := _stored(path)) is None or stored not in known:
            yield f"{where}/{path.name} is no sample of a locked event: call it NAME.VERSION.json, or delete it."
    for stored in sorted(known):
        path = folder / _file(stored)
        if not path.exists():
            yield (
                f"{stored} has no sample: run ./run amends schema lock, or write one payload as it is stored to "
                f"{where}/{path.name}, and commit it."
            )
        elif problem := _unread(catalogue, stored, path):
            yield (
                f"{stored} is not read any more, as its sample {where}/{path.name} shows: {problem.rstrip('.')}. "
                f"Mend its upcasters or its class; what is stored stays as it is."
            )


def write_samples(
    catalogue: DomainCatalogue, locked: Shapes, folder: Path, replacing: Collection[str] = ()
) -> list[Path]:
    """Write a sample of each locked version that has none, made from its shape; returns the written ones.

    An existing sample stays, unless its shape was replaced; that of a shape that was dropped is deleted. Where no value
    of the shape is one that the class takes, none is written: `problems` asks then for one that is written by hand.
    """
    written: list[Path] = []
    for word in replacing:
        name, _, version = word.rpartition(":")
        if version.isdecimal() and version not in locked.get(name, {}):
            (folder / _file(EventType(name, int(version)))).unlink(missing_ok=True)
    for name, versions in sorted(locked.items()):
        for version, shape in sorted(versions.items()):
            stored = EventType(name, int(version))
            path = folder / _file(stored)
            if path.exists() and f"{name}:{version}" not in replacing:
                continue
            if (sample := make_sample(catalogue, stored, shape)) is not None:
                folder.mkdir(parents=True, exist_ok=True)
                path.write_text(json.dumps(sample, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
                written.append(path)
    return written


def make_sample(catalogue: DomainCatalogue, stored: EventType, shape: Any) -> Any:
    """A payload of a shape that today's code reads; None if none was found. It is the same for the same shape."""
    example = ExampleValue(shape)
    for _ in range(TRIES):
        try:
            sample = example.value()
        except Exception as error:  # a schema may say what no value is made of
            log.debug("No sample of %s is made: %s", stored, error_message(error))
            return None
        try:
            loaded = _load(catalogue, stored, sample)
        except Unreadable as unread:
            if not example.change_at(_field(unread)):
                return None
        except Exception as error:
            log.debug("A sample of %s is refused: %s", stored, error_message(error))
            if not example.change_at(""):
                return None
        else:
            return dump(loaded, type(loaded)) if event_type(loaded) == stored else sample
    return None


def _field(unread: Unreadable) -> str:
    """The path of the field that a class refuses, from the message of `load_event`."""
    return unread.problem.partition(": ")[2].partition(": ")[0]


def _unread(catalogue: DomainCatalogue, stored: EventType, path: Path) -> str | None:
    """The reason why a sample is not read; None if it is."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        return f"it is not JSON: {error}"
    try:
        loaded = _load(catalogue, stored, data)
        dump(loaded, type(loaded))
    except Unreadable as unread:
        return unread.problem.rstrip(".")
    except Exception as error:
        return f"{type(error).__name__}: {error_message(error)}"
    return None


def _load(catalogue: DomainCatalogue, stored: EventType, data: Any) -> Any:
    return call_contained(load_event, catalogue.vocabulary, stored, data)


def _file(stored: EventType) -> str:
    return f"{stored.name}.{stored.version}.json"


def _stored(path: Path) -> EventType | None:
    match = _NAME.fullmatch(path.stem)
    return EventType(match[1], int(match[2])) if match and path.suffix == ".json" else None
