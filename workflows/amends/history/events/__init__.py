"""What can happen to one saga, as events in its own stream."""

from workflows.amends.history.events.children import ChildCompensationRequested, ChildStarted
from workflows.amends.history.events.compensations import (
    CompensationBraked,
    CompensationFailed,
    CompensationWaiting,
    StepCompensated,
)
from workflows.amends.history.events.lifecycle import (
    CancelLost,
    CancelRequested,
    SagaCompensated,
    SagaCompensating,
    SagaCompleted,
    SagaStarted,
)
from workflows.amends.history.events.operators import (
    EventLoopBlocked,
    OperatorActed,
    OperatorResumed,
    SagaIncompatible,
    SagaMigrated,
    SagaResumed,
    SagaStuck,
    SagaTerminated,
)
from workflows.amends.history.events.steps import (
    StepBraked,
    StepCompleted,
    StepEvent,
    StepFailed,
    StepOutcome,
    StepRefused,
    StepRetrying,
    StepSkipped,
    StepWaiting,
)
from workflows.amends.history.events.waits import SagaWaiting, SignalReceived, WaitEnded

__all__ = [
    "CancelLost",
    "CancelRequested",
    "ChildCompensationRequested",
    "ChildStarted",
    "CompensationBraked",
    "CompensationFailed",
    "CompensationWaiting",
    "EventLoopBlocked",
    "OperatorActed",
    "OperatorResumed",
    "SagaCompensated",
    "SagaCompensating",
    "SagaCompleted",
    "SagaIncompatible",
    "SagaMigrated",
    "SagaResumed",
    "SagaStarted",
    "SagaStuck",
    "SagaTerminated",
    "SagaWaiting",
    "SignalReceived",
    "StepBraked",
    "StepCompensated",
    "StepCompleted",
    "StepEvent",
    "StepFailed",
    "StepOutcome",
    "StepRefused",
    "StepRetrying",
    "StepSkipped",
    "StepWaiting",
    "WaitEnded",
]
