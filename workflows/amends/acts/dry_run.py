"""What an act on a saga would lead to: what happens next, as far as that is known without doing it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias

from workflows.amends.acts.dry_run_log import DryRunLog
from workflows.amends.acts.outbound_calls import OutboundCall, outbound_calls
from workflows.amends.acts.saga_act import ActName
from workflows.amends.compatibility.replaying import Replay
from workflows.amends.engine.steps.step_execution import StepExecution
from workflows.amends.history import TIMER
from workflows.amends.history.events.children import ENDED
from workflows.amends.ports.execution_log import StatusChange
from workflows.amends.saga import Saga

LeadsTo: TypeAlias = Literal[
    "goes-on", "compensated", "completed", "waiting", "stuck", "stranded", "hangs", "no-code", "stays", "unknown"
]
"""What an act leads to: the saga goes on with a step, comes to that status, hangs or has no code here, or stays as it
is; `unknown` is what may not be tried out."""

NextKind: TypeAlias = Literal["step", "transaction", "child", "compensation"]


@dataclass(frozen=True)
class NextAction:
    """Something that would happen: a step, or a compensation of one; `child` is the saga that is started or undone."""

    kind: NextKind
    step: str
    occurrence: int
    compensation: str | None = None
    child: str | None = None
    calls: tuple[OutboundCall, ...] = ()


@dataclass(frozen=True)
class DryRun:
    """What an act would lead to; `next` happens in this order, and `until` says where knowing ends."""

    id: str
    act: ActName
    leads_to: LeadsTo
    next: tuple[NextAction, ...]
    until: str


FROM_VERDICT: Final[dict[str, tuple[LeadsTo, str]]] = {
    "stranded": ("stranded", "It is stranded then: {reason}."),
    "hangs": ("hangs", "It hangs then: {reason}."),
    "no-code": ("no-code", "It goes on where there is code for it: {reason}."),
}


def dry_run_of(act: ActName, log: DryRunLog, replayed: Replay, saga: Saga[Any, Any], is_run: bool) -> DryRun:
    """What a replay on a log has found; `is_run` says that an executor may run the saga at this moment."""
    leads_to, until = _end(log, replayed)
    next_ones = (*_recalled(log, replayed.steps), *_forward(log, replayed.steps, saga), *_back(log, replayed, saga))
    if is_run:
        until = f"{until} It is being run at this moment: what is in flight settles first."
    return DryRun(log.identity.id, act, leads_to, next_ones, replayed.execution.history.without_hidden(until))


def _end(log: DryRunLog, replayed: Replay) -> tuple[LeadsTo, str]:
    verdict, change = replayed.verdict, log.change
    if verdict.outcome in FROM_VERDICT:
        leads_to, until = FROM_VERDICT[verdict.outcome]
        return leads_to, until.format(reason=verdict.reason.rstrip("."))
    if names := [*log.begun, *(each.step for each in log.started)]:
        return "goes-on", f"What {_all_of(names)} comes to decides what happens next."
    match change and change.status:
        case "compensated":
            done = "if each of these succeeds" if log.compensated else "for there is nothing to undo"
            return "compensated", f"It is compensated then, {done}."
        case "completed":
            return "completed", "It is completed then."
        case "stuck":
            return "stuck", f"It is stuck then: {((change and change.reason) or '').rstrip('.')}."
        case "waiting" | "compensating" if change and change.waiting_for:
            return "waiting", f"It waits then for {_awaited(change)}."
    if verdict.outcome == "stuck":
        return "stuck", f"It is stuck then: {verdict.reason.rstrip('.')}."
    return "unknown", "Nothing is known beyond this."


def _awaited(change: StatusChange) -> str:
    name = change.waiting_for or ""
    until = f", until {change.due_at.isoformat(timespec='seconds')} at most" if change.due_at else ""
    if name == TIMER:
        return f"a time{until}"
    return f"the {name}{until}" if name.startswith(ENDED) else f"the signal {name}{until}"


def _all_of(names: Sequence[str]) -> str:
    each = list(dict.fromkeys(names))
    return each[0] if len(each) == 1 else f"{', '.join(each[:-1])} and {each[-1]}"


def _recalled(log: DryRunLog, steps: Sequence[StepExecution]) -> Iterator[NextAction]:
    """Children that are under way, and are compensated before the saga compensates itself."""
    undone = {(each.step, each.occurrence) for each in log.compensated}
    for each in steps:
        child = _child(log, each)
        if each.step.kind == "child" and child in log.recalled and (each.step.name, each.occurrence) not in undone:
            yield NextAction("compensation", each.step.name, each.occurrence, child=child)


def _forward(log: DryRunLog, steps: Sequence[StepExecution], saga: Saga[Any, Any]) -> Iterator[NextAction]:
    left, started = Counter(log.begun), {(each.step, each.occurrence): each.child for each in log.started}
    for each in steps:
        name, kind = each.step.name, each.step.kind
        if (child := started.get((name, each.occurrence))) is not None:
            yield NextAction("child", name, each.occurrence, child=child)
        elif not each.settled and left[name]:
            left[name] -= 1
            calls = outbound_calls(saga, each.step.body) if kind == "step" else ()
            yield NextAction(kind, name, each.occurrence, calls=calls)


def _back(log: DryRunLog, replayed: Replay, saga: Saga[Any, Any]) -> Iterator[NextAction]:
    known = {(each.step.name, each.occurrence): each for each in replayed.steps}
    for each in log.compensated:
        if each.by != "compensation":
            continue  # that is what an operator said of it
        step, child, calls = known[each.step, each.occurrence], None, tuple[OutboundCall, ...]()
        if step.step.kind == "child":
            child = _child(log, step)
        elif step.step.kind == "step" and step.step.compensation is not None:
            calls = outbound_calls(saga, step.step.compensation.body)
        yield NextAction("compensation", each.step, each.occurrence, each.compensation, child, calls)


def _child(log: DryRunLog, step: StepExecution) -> str:
    earlier = log.replay.children.get(step.step_id)
    return earlier[-1].id if earlier else step.key
