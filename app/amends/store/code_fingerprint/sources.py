"""The version of the code that runs sagas: a digest of its files, the same on each server that has the same ones."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import Final

RINGS: Final = ("domain", "workflows", "app")
PYTHON: Final = (sys.implementation.name, *sys.version_info[:2])


def sources_version(modules: Iterable[str], root: Path) -> str:
    """A digest of the files of all loaded modules of the rings, and of the packages that `modules` stand in.

    It covers too much rather than too little: code that is taken for new costs one more check. What a module has
    computed does not count, so that servers agree, and neither does where the files lie.
    """
    packages = {*RINGS, *(module.partition(".")[0] for module in modules)}
    whole = sha256(repr((PYTHON, version("pydantic"))).encode())
    for name, file in (*_files(packages), ("events.lock.json", root / "domain" / "events.lock.json")):
        whole.update(f"\0{name}\0".encode())
        whole.update(file.read_bytes() if file.is_file() else b"")
    return whole.hexdigest()[:16]


def _files(packages: set[str]) -> Iterator[tuple[str, Path]]:
    """The files of the loaded modules, by the modules' names."""
    for name, module in sorted(sys.modules.items()):
        file = getattr(module, "__file__", None)
        if name.partition(".")[0] in packages and isinstance(file, str):
            yield name, Path(file)
