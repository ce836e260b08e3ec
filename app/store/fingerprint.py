"""Which state of its code an aggregate's snapshots belong to: other code, other snapshots."""

from __future__ import annotations

import hashlib
import logging
import sys
from functools import cache
from pathlib import Path
from typing import Any

import domain
from domain.aggregate import Aggregate

log = logging.getLogger("amends.store")


def code_version(aggregate: Aggregate[Any, Any]) -> str | None:
    """A digest of all source code that the aggregate's state may come from; None if there are no files to read.

    It takes in too much rather than too little: every file of the aggregate's own folder, and of `domain/` itself. A
    snapshot that is thrown away too early costs a fold; one that is kept too long would be a wrong balance.
    """
    module = sys.modules.get(aggregate.evolve.__module__)
    return _digest(module.__file__) if module and module.__file__ else None


@cache
def _digest(file: str) -> str | None:
    words = Path(domain.__file__).parent
    try:
        sources = sorted({*Path(file).parent.rglob("*.py"), *words.glob("*.py")})
        parts = [source.read_bytes() for source in sources]
    except OSError as error:
        log.warning("No snapshots are kept for aggregates of %s: %s", file, error)
        return None
    return hashlib.sha256(b"\0".join(parts)).hexdigest()[:16]
