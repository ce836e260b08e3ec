"""What is used of DBOS, all of it here. What is relied on beyond its documentation is listed in docs/dbos.md."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from typing import Any, NoReturn

from dbos import DBOS, DBOSConfig
from dbos._context import current_owner_xid
from dbos._core import execute_dequeued_workflow
from dbos._dbos import _get_dbos_instance
from dbos._error import DBOSWorkflowConflictIDError
from dbos._migration import get_dbos_migrations
from dbos._serialization import DBOSPortableJSONSerializer, DefaultSerializer
from dbos._sys_db import WorkflowStatusInternal
from dbos._utils import GlobalParams
from sqlalchemy import event
from sqlalchemy.engine.interfaces import ExceptionContext

from domain.amends.errors import StartupError
from workflows.amends.dbos.threads import LoopThreads
from workflows.amends.executor.runtime import Body
from workflows.amends.ports.execution_log import Fenced, Suspended, TurnedBack
from workflows.amends.ports.saga_store import ClaimedSaga

log = logging.getLogger("amends.engine")

APPLICATION = "amends"
"""Name and version of our application in DBOS's tables: sagas have versions of their own."""

SUPPORTED = "3.4."
THREADS = 8
LAST_SECONDS = 1.0
"""How long threads of DBOS are waited for at the end."""

SPOILING = ("25006", "57P")
"""Errors, by SQLSTATE, after which DBOS's sessions are replaced: one that began read-only remains so for good."""

LOST = ("psycopg.OperationalError", "psycopg.errors.AdminShutdown", "connection failed:", "connection to server at")
"""In what DBOS says of a database that is away."""


def migrate(url: str) -> None:
    """Create or update DBOS's tables. Raises StartupError for a DBOS that this code does not know."""
    require_supported()
    DBOS.migrate(url)


def require_supported() -> None:
    """Raise StartupError unless the installed DBOS is the one whose tables this code writes."""
    installed = version("dbos")
    if not installed.startswith(SUPPORTED):
        raise StartupError(
            f"DBOS {installed} is installed, but this code writes the tables of {SUPPORTED}x.", "Run ./run up."
        )


def newest_migration() -> int:
    """The number of the newest migration that the installed DBOS knows."""
    return len(get_dbos_migrations("dbos", True))


def refuse_pickles() -> None:
    """Let DBOS read no pickle in this process: it would run whatever is in one.

    DBOS takes the serializer of a value from the row that holds it, so that whoever may write a row could have its
    reader run anything. Amends writes portable JSON alone.
    """

    def refuse(_serializer: DefaultSerializer, _data: str) -> NoReturn:
        raise TypeError("A row of DBOS's tables holds a pickle, which is not read: it could run anything.")

    DefaultSerializer.deserialize = refuse  # type: ignore


class DbosRuntime:
    """One process's DBOS: runs the bodies that are bound to names, in the event loop that launched it."""

    def __init__(self, url: str) -> None:
        refuse_pickles()
        self._executor = ""
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="dbos-start")
        self._of_loop: LoopThreads | None = None
        self._config: DBOSConfig = {
            "name": APPLICATION,
            "application_version": APPLICATION,
            "system_database_url": url,
            "run_migrations": False,
            "serializer": DBOSPortableJSONSerializer(),
            "sys_db_pool_size": THREADS,
            "max_executor_threads": THREADS,
            "db_engine_kwargs": {"pool_pre_ping": False},
            "log_level": "WARNING",
            "scheduler_polling_interval_sec": 3600.0,
        }

    def bind_bodies(self, bodies: Mapping[str, Body]) -> None:
        """Make DBOS known to this process, and let it run these for workflows of these names."""
        DBOS(config={**self._config, "executor_id": self._executor})
        logging.getLogger("dbos").addFilter(_expected)
        for name, body in bodies.items():
            self._bind(name, body)

    def _bind(self, name: str, body: Body) -> None:
        """Let DBOS run `body` for workflows of this name; it ends as DBOS's own workflows do."""

        async def workflow(*args: Any, **kwargs: Any) -> Any:
            try:
                return await body(*args, **kwargs)
            except Fenced:
                raise DBOSWorkflowConflictIDError(self.current_execution()[0]) from None
            except Suspended:
                raise asyncio.CancelledError from None

        DBOS.workflow(name=name, max_recovery_attempts=None)(workflow)

    def launch(self) -> None:
        """Start DBOS in the running event loop, with enough threads for its writes."""
        loop = asyncio.get_running_loop()
        self._of_loop = LoopThreads(loop, 2 * THREADS)
        loop.set_default_executor(self._of_loop)
        DBOS.launch()
        dbos = _get_dbos_instance()
        event.listen(dbos._sys_db.engine, "handle_error", _replaced)
        # DBOS has a loop of its own for the time that this one does not run. It stands still for a moment when code of
        # a saga makes it stop; a saga that began meanwhile, in the other one, would never hear of its commits.
        dbos._background_event_loop.target_loop = lambda: loop  # type: ignore[method-assign]

    def change_executor(self, executor: str) -> None:
        """Run what comes from here on as another executor. DBOS looks up who it is whenever it takes a workflow."""
        self._executor = GlobalParams.executor_id = executor

    @property
    def busy_saga_threads(self) -> int:
        """How many functions code of sagas runs in threads."""
        return self._of_loop.saga_thread_count if self._of_loop else 0

    async def stop(self) -> None:
        """Stop DBOS, whose threads may wait for the database for ever: then they are left to themselves."""
        try:
            async with asyncio.timeout(LAST_SECONDS):
                await asyncio.shield(asyncio.create_task(asyncio.to_thread(self._destroy), name="stop of DBOS"))
        except TimeoutError:
            log.debug("Threads of DBOS still wait for the database.")

    def _destroy(self) -> None:
        """Stop DBOS; blocks until its threads have ended."""
        DBOS.destroy(destroy_registry=True)
        self._threads.shutdown(wait=False, cancel_futures=True)

    def current_execution(self) -> tuple[str, str]:
        """The id of the workflow that runs here, and the token under which this execution owns it."""
        id = DBOS.workflow_id
        owner = None if id is None else current_owner_xid(id)
        if id is None or owner is None:
            raise RuntimeError("not inside a workflow")
        return id, owner

    def next_step_id(self) -> int:
        """Draw the number of the next step from DBOS."""
        return DBOS.reserve_step().step_id

    async def run(self, claimed: ClaimedSaga, owner: str) -> None:
        """Run a workflow that this executor has claimed under this owner; returns once it is under way."""
        status = _status(claimed, self._executor)
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self._threads, execute_dequeued_workflow, _get_dbos_instance(), status, owner)


def _status(claimed: ClaimedSaga, executor: str) -> WorkflowStatusInternal:
    """What DBOS would have read back from the row of a workflow that was just claimed."""
    return {
        "workflow_uuid": claimed.id,
        "status": "PENDING",
        "name": claimed.name,
        "class_name": None,
        "config_name": None,
        "authenticated_user": None,
        "assumed_role": None,
        "authenticated_roles": None,
        "created_at": None,
        "updated_at": None,
        "queue_name": APPLICATION,
        "executor_id": executor,
        "app_version": APPLICATION,
        "app_id": "",
        "recovery_attempts": None,
        "workflow_timeout_ms": None,
        "workflow_deadline_epoch_ms": None,
        "deduplication_id": None,
        "priority": 0,
        "inputs": claimed.inputs,
        "queue_partition_key": None,
        "forked_from": None,
        "parent_workflow_id": None,
        "started_at_epoch_ms": None,
        "serialization": "portable_json",
        "delay_until_epoch_ms": None,
        "attributes": None,
        "schedule_name": None,
        "debounce_deadline_epoch_ms": None,
        "is_debounced": False,
        "application_name": APPLICATION,
        "shard_key": None,
    }


def _replaced(context: ExceptionContext) -> None:
    """Let DBOS see a session that is spoilt as one that was lost: it tries again, and on other sessions."""
    code = getattr(context.original_exception, "sqlstate", None) or ""
    context.is_disconnect = context.is_disconnect or code.startswith(SPOILING)


def _expected(record: logging.LogRecord) -> bool:
    """Drop what DBOS says loudly of ordinary ends of a saga: compensated, or resting until somebody acts.

    That its own threads do not get through to the database it says several times a second, with stacks: whoever watches
    the database says it once.
    """
    ended, said = record.exc_info[1] if record.exc_info else None, record.getMessage()
    lost = record.levelno == logging.WARNING and any(each in said for each in LOST)
    return not isinstance(ended, TurnedBack) and "Asyncio task cancelled for workflow" not in said and not lost
