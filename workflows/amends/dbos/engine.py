"""The engine of a server: it stands on DBOS, and a thread renews its lease."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from workflows.amends.dbos.lease_thread import LeaseThread
from workflows.amends.dbos.runtime import DbosRuntime
from workflows.amends.engine.steps.argument_shapes import ArgumentShapes, no_shapes
from workflows.amends.executor.engine import Engine, Options
from workflows.amends.executor.lease import Lease
from workflows.amends.executor.process import this_process
from workflows.amends.ports.saga_store import SagaStore
from workflows.amends.providers import Providers
from workflows.amends.saga import Saga

log = logging.getLogger("amends.engine")


def engine_on_dbos(
    sagas: Sequence[Saga[Any, Any]],
    store: SagaStore,
    url: str,
    beat: Callable[[str, float], datetime | None],
    lost: Callable[[], None],
    options: Options = Options(),
    providers: Providers | None = None,
    argument_shapes: ArgumentShapes = no_shapes,
) -> Engine:
    """An engine whose workflows are DBOS's in the database at `url`.

    `beat` renews a lease in the database, and returns the database's time, or None for one that was taken away. `lost`
    is called, in a thread, when code of sagas does not end then: this process has to end, so that it can call nobody.
    """

    def do_not_end() -> None:
        log.error("These do not end: %s", ", ".join(engine.worker.running_names()) or "functions in threads")
        lost()

    def keeper(lease: Lease, taken_away: Callable[[], None]) -> LeaseThread:
        return LeaseThread(lease, beat, taken_away, do_not_end)

    runtime, process = DbosRuntime(url), this_process()
    engine = Engine(sagas, store, runtime, keeper, process, options, providers, argument_shapes=argument_shapes)
    return engine
