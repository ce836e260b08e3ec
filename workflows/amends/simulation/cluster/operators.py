"""The operators of a cluster, who look after what is stuck, and after what waits for somebody who never comes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any, Final

from workflows.amends.history import OperatorAction, SagaStuck
from workflows.amends.history.events.children import FROM_CHILD
from workflows.amends.simulation.cluster.clients import CancelAction, Clients, SignalAction
from workflows.amends.simulation.cluster.cluster import Cluster
from workflows.amends.simulation.memory.rows import MemorySagaRow

LOOK_SECONDS: Final = 0.3
RETRIES: Final = 4
"""How often a stuck saga is tried again before somebody decides what came of its step."""


def only_retries(stuck: SagaStuck, action: OperatorAction) -> tuple[OperatorAction, Any]:
    """An operator who knows no better than to try again."""
    return "retry", None


@dataclass
class Operators:
    """They try what is stuck again, and at last, or by chance, decide what came of a step.

    `decide` turns such a decision into another one, and gives the step's result with it. `nudge` is a signal for a saga
    that waits past its pivot, by number; one that waits before it is cancelled.
    """

    cluster: Cluster
    dice: Random
    decide: Callable[[SagaStuck, OperatorAction], tuple[OperatorAction, Any]] = only_retries
    nudge: Callable[[int], Any] | None = None
    decided: set[tuple[str, int]] = field(default_factory=set)
    """The sagas and step ids about which one has decided without another try: nobody knows what was done there."""
    nudges: dict[str, int] = field(default_factory=dict)
    """The numbers of the signals that were sent in the end, by their keys."""
    _asked: dict[str, int] = field(default_factory=dict)

    def start(self) -> None:
        """Look now and then, from now on."""
        self.cluster.timeline.after(LOOK_SECONDS, self._look)

    @property
    def _clients(self) -> Clients:
        return self.cluster.clients

    def _look(self) -> None:
        self.start()
        if self._clients.waiting and not self.cluster.is_over:
            return
        for id, row in list(self.cluster.store.rows.items()):
            if row.status == "stuck":
                self._decide(id)
            elif row.status == "abandoned":
                times = self._asked[id] = self._asked.get(id, 0) + 1
                self._clients.decide_terminated(
                    id, self.dice.choice(("compensate", "resume")), f"{id} decision {times}"
                )
            elif self.cluster.is_over and not self._clients.waiting and _waits_for_a_signal(row):
                self._end_wait(id, row)

    def _decide(self, id: str) -> None:
        _, stuck = self.cluster.store.saga_history(id).last(SagaStuck) or (0, None)
        assert isinstance(stuck, SagaStuck)
        times = self._asked[id] = self._asked.get(id, 0) + 1
        wanted: OperatorAction = "retry"
        if times % (RETRIES + 1) == 0 or self.dice.random() < 0.1:
            wanted = self.dice.choice(("skip", "resolve"))
        action, result = self.decide(stuck, wanted)
        if action != "retry":
            self.decided.add((id, stuck.slot))
        self._clients.decide_stuck(id, action, "decided", f"{id} decision {times}", result)

    def _end_wait(self, id: str, row: MemorySagaRow) -> None:
        """Nobody else sends anything any more: cancel it, or, past its pivot, let it go on."""
        key, number = f"{id} nudge {len(self.nudges)}", 1000 + len(self.nudges)
        cancelled = f"cancel {id}"
        if self.nudge and (cancelled in self._clients.refused or cancelled in self._clients.accepted):
            self.nudges[key] = number
            self._clients.perform(SignalAction(0.0, id, self.nudge(number), key))
        else:
            self._clients.perform(CancelAction(0.0, id, row.name, "nobody comes"))


def _waits_for_a_signal(row: MemorySagaRow) -> bool:
    waits = row.status == "waiting" and row.due_at is None
    return waits and not (row.waiting_for or "").startswith(FROM_CHILD)
