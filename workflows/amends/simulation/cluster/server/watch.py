"""Looks at every commit that the store of a cluster accepts: whose it was, and whether it was his to make."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from workflows.amends.ports.execution_log import Committed, StepCommit, StreamMoved
from workflows.amends.simulation.cluster.server.store import ClusterStore
from workflows.amends.simulation.cluster.virtual_time import Timeline


@dataclass
class CommitWatch:
    """What was accepted so far: `owners` are those whose commits were, for each saga, each once, in their order."""

    store: ClusterStore
    timeline: Timeline
    notes: list[str] | None = None
    """What has happened, in words, if somebody wants to know."""
    owners: dict[str, list[str]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    commits: int = 0

    def commit(
        self, id: str, owner: str, step_commit: StepCommit, write: Callable[[], Committed | StreamMoved]
    ) -> Committed | StreamMoved:
        """Let the store write a commit, and look at what comes of it."""
        row, events = self.store.rows.get(id), step_commit.events
        before = row.owner if row else None
        again = bool(events) and self.store.events.event_by_id(events[0].id) is not None
        try:
            written = write()
        except BaseException as refused:
            self._note_commit(id, owner, step_commit, type(refused).__name__)
            raise
        self._note_commit(id, owner, step_commit, "again" if again else type(written).__name__)
        if isinstance(written, Committed) and not again:
            self.commits += 1
            self._accepted(id, owner, before)
        return written

    def note(self, what: str) -> None:
        """Something has happened."""
        if self.notes is not None:
            self.notes.append(f"{self.timeline.now:9.4f} {what}")

    def _note_commit(self, id: str, owner: str, step_commit: StepCommit, came: str) -> None:
        if self.notes is not None:
            told = " ".join(f"{event.type.name}({event.cause.step or ''})" for event in step_commit.events)
            self.note(f"{id} of {owner[:4]} {told or step_commit.change} -> {came}")

    def _accepted(self, id: str, owner: str, before: str | None) -> None:
        known = self.owners.setdefault(id, [])
        if owner != before:
            self.problems.append(f"{id}: a commit was accepted of who is not its owner")
        if not known or known[-1] != owner:
            if owner in known:
                self.problems.append(f"{id}: an earlier owner commits again after a later one has")
            known.append(owner)
