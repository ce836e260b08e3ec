"""Replays one recording against the code at hand, as a takeover would, without its effects."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from domain.amends.vocabulary import Unreadable
from workflows.amends.compatibility.replay_log import CodeAtHand, ReplayEnded, ReplayLog, Verdict
from workflows.amends.engine.execution import Execution
from workflows.amends.ports.execution_log import Suspended, TurnedBack
from workflows.amends.ports.recordings import Recording
from workflows.amends.saga import Saga
from workflows.amends.values.codec import copy_json
from workflows.amends.values.printable import error_message


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
    verdict, _ = await replay(recording, saga, code)
    return verdict


async def replay(recording: Recording, saga: Saga[Any, Any], code: CodeAtHand) -> tuple[Verdict, Execution]:
    """The same for one that can be read, under a saga's code; and the execution that came to it."""
    log = ReplayLog(recording, code)
    execution = Execution(saga, log)
    try:
        await execution.run(copy_json(recording.given))
    except (ReplayEnded, Suspended, TurnedBack):
        pass
    except Unreadable as error:
        return Verdict("stranded", error_message(error)), execution
    except Exception as error:
        return Verdict("stuck", f"a fault of the engine: {execution.history.bug_text(error)}"), execution
    return replace(log.verdict, reason=execution.history.without_hidden(log.verdict.reason)), execution
