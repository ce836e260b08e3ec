"""What DBOS itself does to a workflow's row in memory: its outcome, and what its tools and its own queue do."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from domain.amends.errors import NotFound
from workflows.amends.simulation.memory.rows import DBOS_QUEUE, WorkflowRow
from workflows.amends.simulation.memory.tables import MemoryTables

TURNED_BACK = '{"name": "TurnedBack"}'
"""How the error of a compensated saga's workflow begins."""


@dataclass
class DbosTools(MemoryTables):
    """DBOS's own writes, each as a row of its shows it afterwards."""

    def outcome(
        self, id: str, owner: str, status: Literal["SUCCESS", "ERROR"], error: str | None = TURNED_BACK
    ) -> bool:
        """Write down how a workflow ended, if this execution owns it; returns whether it did."""
        workflow = self.workflows.get(id)
        if workflow is None or workflow.status != "PENDING" or workflow.owner != owner:
            return False
        workflow.status, workflow.owner = status, None
        workflow.updated_at = workflow.completed_at = self.clock.now
        workflow.output, workflow.error = ("null", None) if status == "SUCCESS" else (None, error)
        return True

    def fork_workflow(self, id: str, fork: str, start_step: int) -> None:
        """Fork a workflow under another id: it begins with the checkpoints before `start_step`. Raises NotFound."""
        origin, now = self._workflow(id), self.clock.now
        kept = {number: known for number, known in origin.checkpoints.items() if number < start_step}
        made = WorkflowRow(fork, origin.name, origin.inputs, now, now, queue=DBOS_QUEUE, forked_from=id)
        self.workflows[fork] = replace(made, checkpoints=kept)

    def cancel_workflow(self, id: str) -> None:
        """Cancel a workflow, unless it has ended."""
        workflow = self.workflows.get(id)
        if workflow and workflow.status not in ("SUCCESS", "ERROR"):
            workflow.status, workflow.owner, workflow.queue, workflow.started_at = "CANCELLED", None, None, None
            workflow.updated_at = workflow.completed_at = self.clock.now

    def resume_workflow(self, id: str) -> None:
        """Queue a workflow for DBOS itself to run, unless it has ended. Raises NotFound."""
        workflow = self._workflow(id)
        if workflow.status not in ("SUCCESS", "ERROR"):
            workflow.status, workflow.owner, workflow.queue, workflow.started_at = "ENQUEUED", None, DBOS_QUEUE, None
            workflow.updated_at, workflow.completed_at, workflow.attempts = self.clock.now, None, 0

    def _workflow(self, id: str) -> WorkflowRow:
        if id not in self.workflows:
            raise NotFound("workflow", id)
        return self.workflows[id]

    def dequeue(self, executor: str, owner: str) -> list[str]:
        """Let DBOS run, under one executor and token, what stands in its own queue; returns the ids, oldest first."""
        queued = [each for each in self.workflows.values() if each.status == "ENQUEUED" and each.queue == DBOS_QUEUE]
        for each in queued:
            each.status, each.executor, each.owner = "PENDING", executor, owner
            each.started_at = each.updated_at = self.clock.now
        return [each.id for each in sorted(queued, key=lambda each: each.created_at)]
