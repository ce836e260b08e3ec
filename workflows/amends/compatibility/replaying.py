"""Replays one recording against the code at hand, as a takeover would, without its effects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from domain.amends.vocabulary import Unreadable
from workflows.amends.compatibility.interrupting import ReplayInterrupted, interruptions
from workflows.amends.compatibility.replay_log import CodeAtHand, ReplayEnded, ReplayLog, Verdict
from workflows.amends.engine.execution import Execution
from workflows.amends.engine.steps.step_execution import StepExecution
from workflows.amends.engine.user_code.running_code import on_loop
from workflows.amends.ports.execution_log import Suspended, TurnedBack
from workflows.amends.ports.recordings import Recording
from workflows.amends.saga import Saga
from workflows.amends.values.codec import copy_json
from workflows.amends.values.printable import error_message

COMPUTES: Final = Verdict("hangs", "run does not return: it computes, or blocks, without an await", "computes")


async def judge(recording: Recording, sagas: Mapping[tuple[str, int], Saga[Any, Any]], code: CodeAtHand) -> Verdict:
    """What becomes of an instance when an executor with this code goes on with it.

    Only `run` is run, with the results that are recorded: no code of a step, a transaction or a compensation is, and
    nothing is written.
    """
    if recording.unreadable is not None:
        return Verdict("stranded", recording.unreadable)
    saga = sagas.get((recording.name, recording.version))
    if saga is None:
        return Verdict("no-code", f"there is no code for {recording.name}:{recording.version} here")
    return (await replay(recording, saga, code)).verdict


@dataclass(frozen=True)
class Replay:
    """A replay that has ended: the verdict, and the execution that came to it."""

    verdict: Verdict
    execution: Execution

    @property
    def steps(self) -> Sequence[StepExecution]:
        """The steps that `run` has asked for, in their order."""
        return self.execution.driver.step_execution


async def replay(recording: Recording, saga: Saga[Any, Any], code: CodeAtHand) -> Replay:
    """Let `run` of a saga go on up to where nothing more is recorded."""
    log = ReplayLog(recording, code)
    return await replay_on(log, Execution(saga, log), recording)


async def replay_on(log: ReplayLog, execution: Execution, recording: Recording) -> Replay:
    """The same on a log, and with an execution, of the caller's."""
    try:
        await execution.run(copy_json(recording.given))
    except (ReplayEnded, Suspended, TurnedBack):
        pass
    except ReplayInterrupted:  # in the midst of the engine: it is the code that runs next that hangs
        pass
    except Unreadable as error:
        return Replay(Verdict("stranded", error_message(error)), execution)
    except Exception as error:
        return Replay(Verdict("stuck", f"a fault of the engine: {execution.history.bug_text(error)}"), execution)
    if interruptions.pop(recording.id):
        on_loop.enter(None)  # wherever it was interrupted
        return Replay(Verdict("fits", hung="computes") if recording.status == "stuck" else COMPUTES, execution)
    verdict = replace(log.verdict, reason=execution.history.without_hidden(log.verdict.reason))
    return Replay(verdict, execution)
