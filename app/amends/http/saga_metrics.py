"""Metrics of sagas: what this process has started and ended, and what the database says of all of them."""

from __future__ import annotations

from collections import Counter as Counts
from collections.abc import Mapping, Sequence
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge

from app.amends.postgres.statements.reader import Reader
from app.amends.store.queue import QueuedStarts, queue_depth, queued_starts, waiting_by_reason
from app.amends.store.sagas.causes import MOST_COUNTED
from app.amends.store.sagas.causes import SQL as CAUSES
from workflows.amends.causes.failure_cause import FailureCause
from workflows.amends.executor.saga_counts import SagaCounts

MOST_CAUSES_SHOWN: Final = 100
"""Causes beyond these, the largest ones, are one series: `other`."""
MOST_CALLERS: Final = 20
OTHER: Final = "other"


def counts_of_process(registry: CollectorRegistry, counts: SagaCounts) -> None:
    """What this process has done since it began; the sum over all processes counts each start and each end once."""
    started = Counter("amends_saga_starts", "Sagas started here.", ["saga", "version"], registry=registry)
    for (name, version), count in counts.starts.items():
        started.labels(name, str(version)).inc(count)
    about = "Sagas that were completed or compensated here."
    ended = Counter("amends_saga_ends", about, ["saga", "version", "outcome"], registry=registry)
    for (name, version, status), count in counts.ends.items():
        ended.labels(name, str(version), status).inc(count)


async def sagas_by_cause(registry: CollectorRegistry, reader: Reader) -> None:
    """What needs a person, by cause."""
    labels = ["status", "saga", "version", "step", "cause"]
    about = f"Stuck, stranded and abandoned sagas, up to {MOST_COUNTED} of a cause; small causes are {OTHER}."
    gauge = Gauge("amends_sagas_needing_a_person", about, labels, registry=registry)
    rows = await reader.rows(CAUSES["suspended"], {"limit": MOST_COUNTED, "examples": 1})
    found = dict[tuple[str, ...], int]()
    for row in rows:
        cause = FailureCause(*(row[each] for each in ("kind", "name", "version", "step", "provider", "error")))
        found[cause.kind, cause.name, str(cause.version), cause.step or "", cause.id] = row["count"]
    other = (OTHER,) * len(labels)
    for labelled, count in largest(found, MOST_CAUSES_SHOWN, other).items():
        gauge.labels(*labelled).set(count)


async def waiting_and_queued(registry: CollectorRegistry, reader: Reader) -> None:
    """What sagas wait for, and what is queued: by type, and by caller."""
    about = f"Sagas that wait for it, up to {MOST_COUNTED} of each."
    waiting = Gauge("amends_waiting_sagas", about, ["reason"], registry=registry)
    for reason, count in (await waiting_by_reason(reader)).items():
        waiting.labels(reason).set(count)
    about = f"Sagas in the queue, up to {MOST_COUNTED}: starts, and what was woken or taken over."
    Gauge("amends_queue_depth", about, registry=registry).set(await queue_depth(reader))
    starts = await queued_starts(reader)
    about = f"1 if there are more than the {MOST_COUNTED} starts that are counted, the oldest ones."
    more = Gauge("amends_queued_starts_more", about, registry=registry)
    more.set(sum(each.count for each in starts) >= MOST_COUNTED)
    _queued(registry, starts)


def _queued(registry: CollectorRegistry, starts: Sequence[QueuedStarts]) -> None:
    types, callers = Counts[tuple[str, ...]](), Counts[tuple[str, ...]]()
    oldest = dict[tuple[str, ...], float]()
    for each in starts:
        types[each.name, str(each.version)] += each.count
        callers[(each.actor,)] += each.count
    shown = largest(callers, MOST_CALLERS, (OTHER,))
    for each in starts:
        caller = (each.actor,) if (each.actor,) in shown else (OTHER,)
        for key in ((each.name, str(each.version)), caller):
            oldest[key] = max(each.seconds, oldest.get(key, 0.0))
    _depth_and_age(registry, "amends_queued_starts", ["saga", "version"], types, oldest)
    _depth_and_age(registry, "amends_caller_queued_starts", ["caller"], shown, oldest)


def _depth_and_age(
    registry: CollectorRegistry,
    name: str,
    labels: Sequence[str],
    counts: Mapping[tuple[str, ...], int],
    oldest: Mapping[tuple[str, ...], float],
) -> None:
    depth = Gauge(name, "Starts that no server has begun.", labels, registry=registry)
    age = Gauge(f"{name}_oldest_seconds", "For how long the oldest of them is queued.", labels, registry=registry)
    for labelled, count in counts.items():
        depth.labels(*labelled).set(count)
        age.labels(*labelled).set(oldest[labelled])


def largest(counts: Mapping[tuple[str, ...], int], most: int, other: tuple[str, ...]) -> dict[tuple[str, ...], int]:
    """The largest counts, as many as are shown; the rest is the count of `other`."""
    ordered = sorted(counts.items(), key=lambda each: (-each[1], each[0]))
    shown = dict(ordered[:most])
    if rest := sum(count for _, count in ordered[most:]):
        shown[other] = shown.get(other, 0) + rest
    return shown
