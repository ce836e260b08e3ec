"""One line in the log for each time that a saga is suspended until somebody acts, whoever found that out."""

from __future__ import annotations

import logging

from workflows.amends.history import SagaIncompatible, SagaStuck, SagaTerminated
from workflows.amends.values.printable import one_line

log = logging.getLogger("amends.saga")


def log_suspended(id: str, saga_type: str, told: object) -> None:
    """Say it, if `told` is the event of such a suspension."""
    step, what = None, ""
    if isinstance(told, SagaStuck):
        step = told.compensation or told.step
        what = f"stuck at {f'step {step}' if told.step else 'run'}"
    elif isinstance(told, SagaIncompatible):
        what = "stranded"
    elif isinstance(told, SagaTerminated):
        what = "abandoned"
    if isinstance(told, SagaStuck | SagaIncompatible | SagaTerminated):
        about = {"saga": id, "saga_type": saga_type, "step": step}
        log.warning("Saga %s (%s) is %s: %s", id, saga_type, what, one_line(told.reason), extra=about)
