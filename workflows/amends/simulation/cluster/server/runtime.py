"""What DBOS does for a server, played: it begins executions, numbers their steps, and writes down how they ended."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from functools import partial
from typing import Final, Literal

from workflows.amends.executor.runtime import Body
from workflows.amends.ids import new_token
from workflows.amends.ports.execution_log import Fenced, Suspended, TurnedBack
from workflows.amends.ports.saga_store import ClaimedSaga
from workflows.amends.simulation.cluster.network import NetworkLink
from workflows.amends.simulation.cluster.server.store import ClusterStore
from workflows.amends.values.codec import parse_json

WorkflowStatus = Literal["SUCCESS", "ERROR"]
DEQUEUE_SECONDS: Final = 1.0
"""How often DBOS looks into its own queue."""


@dataclass
class _Current:
    id: str
    owner: str
    step_id: int = 0


_current: ContextVar[_Current] = ContextVar("workflow")


class SimulatedRuntime:
    """The runtime of one simulated server; it writes outcomes over its link, and looks into DBOS's queue if it must."""

    def __init__(self, link: NetworkLink, store: ClusterStore, has_queue: bool) -> None:
        self._link, self._store, self._has_queue = link, store, has_queue
        self._bodies: Mapping[str, Body] = {}
        self._tasks: dict[asyncio.Task[None], None] = {}
        self.executor = ""

    def bind_bodies(self, bodies: Mapping[str, Body]) -> None:
        self._bodies = bodies

    def launch(self) -> None:
        if self._has_queue:
            self._dequeuing = asyncio.get_running_loop().create_task(self._dequeue(), name="queue of DBOS")

    async def _dequeue(self) -> None:
        """Run what DBOS's tools have queued, which the engine has not claimed."""
        while True:
            owner = new_token()
            for id in await self._link.ask(partial(self._store.dequeue, self.executor, owner)):
                workflow = self._store.workflows[id]
                if workflow.name not in self._bodies:  # DBOS logs that, and leaves it claimed
                    continue
                await self.run(ClaimedSaga(id, workflow.name, workflow.inputs), owner)
            await asyncio.sleep(DEQUEUE_SECONDS)

    def change_executor(self, executor: str) -> None:
        self.executor = executor

    async def run(self, claimed: ClaimedSaga, owner: str) -> None:
        await asyncio.sleep(0.0005)  # one of DBOS's threads takes it over
        task = asyncio.get_running_loop().create_task(self._workflow(claimed, owner), name=f"workflow {claimed.id}")
        self._tasks[task] = None
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.pop(task, None)
        if not task.cancelled():
            task.result()

    async def _workflow(self, claimed: ClaimedSaga, owner: str) -> None:
        _current.set(_Current(claimed.id, owner))
        given = parse_json(claimed.inputs)
        try:
            await self._bodies[claimed.name](*given["positionalArgs"], **given["namedArgs"])
        except TurnedBack:
            status: WorkflowStatus = "ERROR"
        except (Fenced, Suspended):
            return
        else:
            status = "SUCCESS"
        await self._link.ask(lambda: self._store.outcome(claimed.id, owner, status))

    def current_execution(self) -> tuple[str, str]:
        mine = _current.get()
        return mine.id, mine.owner

    def next_step_id(self) -> int:
        mine = _current.get()
        mine.step_id += 1
        return mine.step_id

    @property
    def busy_saga_threads(self) -> int:
        return 0

    async def stop(self) -> None:
        """There is nothing to stop."""
