"""What must be true of what sagas did to others: nothing twice, nothing forgotten, and no signal counted twice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from tests.amends.simulation.journeys import tallies
from tests.amends.simulation.programs import STREAMS
from tests.amends.simulation.providers import Books
from workflows.amends.simulation.cluster.clients import Clients, SignalAction
from workflows.amends.simulation.cluster.invariants import received_payloads
from workflows.amends.simulation.cluster.operators import Operators
from workflows.amends.simulation.cluster.server.store import ClusterStore
from workflows.amends.simulation.memory.rows import MemorySagaRow
from workflows.amends.values.codec import parse_json


def problems_of_effects(store: ClusterStore, books: Books, operators: Operators) -> Iterator[str]:
    """What is wrong with what the providers and our own streams have, compared with how each saga ended."""
    added = _added(store)
    for id, row in store.rows.items():
        if _forked(store, row):
            continue  # a fork and its origin have one set of keys: what one undoes was the other's
        state = store.saga_history(id).fold.state()
        unknown = {step.slot for step in state.steps if (id, step.slot) in operators.decided}
        decided = any(saga == id for saga, _ in operators.decided)
        live = {key for key in books.live if key.startswith(f"{id}.") and _step(id, key) in ("call", "commit_to")}
        if row.status == "completed":
            kept = [step for step in state.steps if step.name in ("call", "commit_to") and step.slot not in unknown]
            wanted = {f"{id}.{step.name}.{step.occurrence}.0" for step in kept if step.status == "completed"}
            if forgotten := wanted - live:
                yield f"{id} is completed, but was not done or was undone: {sorted(forgotten)}"
            if not decided and (surplus := live - wanted):
                yield f"{id} is completed, and did more: {sorted(surplus)}"
            if not decided:
                yield from _of_result(id, state.result, live)
        elif row.status == "compensated" and not decided and live:
            yield f"{id} is compensated, but was not undone: {sorted(live)}"
        done = sum(step.name in ("decide", "note") and step.status == "completed" for step in state.steps)
        if not decided and added[id] != (done if row.status == "completed" else 0):
            yield f"{id} is {row.status}, and has decided {added[id]} of {done} times"
        undone = row.parent and store.rows[row.parent].status == "compensated"
        if undone and row.status != "compensated" and not any(saga == row.parent for saga, _ in operators.decided):
            yield f"{row.parent} is compensated, but its child {id} is {row.status}"


def _forked(store: ClusterStore, row: MemorySagaRow) -> bool:
    """Whether somebody has forked a saga, or one of the sagas that it belongs to."""
    parent = store.rows.get(row.parent or "")
    forked = any(each is not row and each.root == row.root for each in store.rows.values())
    return forked or (parent is not None and _forked(store, parent))


def _step(id: str, key: str) -> str:
    """The step that a key belongs to; of a child's key it is the child's name."""
    return key.removeprefix(f"{id}.").split(".")[0]


def _added(store: ClusterStore) -> Counter[str]:
    """How often each saga has added to a tally, less what it has removed."""
    found: Counter[str] = Counter()
    for number in range(STREAMS):
        for stored in store.events.stream_events(tallies.stream(str(number))):
            found[parse_json(stored.metadata_json)["workflow_id"]] += 1 if stored.name == "simulated-added" else -1
    return found


def _of_result(id: str, result: Any, live: set[str]) -> Iterator[str]:
    own = {key for key in result["keys"] if _step(id, key) in ("call", "commit_to") and key.startswith(f"{id}.")}
    if own != live:
        yield f"{id} tells of {sorted(own)}, but did {sorted(live)}"


def problems_of_signals(
    store: ClusterStore, clients: Clients, sent: list[SignalAction], operators: Operators
) -> Iterator[str]:
    """Each signal that was accepted is on record once, and was received at most once, in order."""
    numbers = {each.key: (each.id, each.signal.number) for each in sent}  # type: ignore[attr-defined]
    numbers |= {key: (key.rpartition(" nudge ")[0], number) for key, number in operators.nudges.items()}
    for id, row in store.rows.items():
        told = [payload["number"] for payload in received_payloads(store, id, "poke")]  # type: ignore[index]
        wanted = [number for key, (saga, number) in numbers.items() if saga == id and key in clients.accepted]
        if sorted(told) != sorted(wanted):
            yield f"{id} was told {told}, but sent {wanted}"
        if row.status == "completed" and not id.endswith(" fork"):  # which also knows what was heard before it
            result: Any = store.saga_history(id).fold.state().result
            if result["heard"] != told[: len(result["heard"])]:
                yield f"{id} was told {told}, and heard {result['heard']}"
