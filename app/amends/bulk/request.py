"""What a bulk act is asked for: which sagas it concerns, and what is done to each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from app.amends.store.sagas.filters import SagaFilters
from domain.amends.errors import Conflict, Invalid, NotFound
from domain.amends.sender import fill_in_sender
from workflows.amends.acts.saga_act import SagaAct
from workflows.amends.client import SagaClient
from workflows.amends.values.codec import load_input

BulkActName: TypeAlias = Literal["cancel", "retry", "skip", "resolve", "signal"]
MOST: Final = 50_000
"""How many sagas one bulk act may concern."""
DECIDES: Final = ("retry", "skip", "resolve")
"""The acts that are for stuck sagas alone."""


@dataclass(frozen=True)
class BulkRequest:
    """An act on all sagas that match. `known` says that its `actor` is known by a token.

    Raises Invalid for a filter that names nothing, or too little, and for parts that do not go together.
    """

    filters: SagaFilters
    act: SagaAct
    actor: str
    known: bool = False

    def __post_init__(self) -> None:
        act, filters = self.act, self.filters
        if all(value is None for value in vars(filters).values()):
            raise Invalid("filter", f"names nothing: give at least one of {', '.join(vars(filters))}")
        if act.name in ("skip", "resolve") and filters.cause is None and filters.step is None:
            problem = f"must name one cause or one step, for that is what a {act.name} is about"
            raise Invalid("filter", f"{problem}; `workflows causes` lists them")
        if act.name == "signal" and not act.signal:
            raise Invalid("signal", "must be the name of the signal that is sent")
        if act.name != "signal" and (act.signal is not None or act.payload is not None):
            raise Invalid("signal" if act.signal is not None else "payload", 'goes with the act "signal" alone')
        if act.name != "resolve" and act.result is not None:
            raise Invalid("result", 'goes with the act "resolve" alone')

    @property
    def decides(self) -> bool:
        """Whether it is for stuck sagas alone; else it is for all that are not finished."""
        return self.act.name in DECIDES

    def require_signal(self, client: SagaClient) -> None:
        """Raise Invalid for a signal that sagas of the name in the filter do not take, or not with this payload."""
        name, wanted = self.filters.name, self.filters.version
        if self.act.name != "signal" or name is None:
            return
        for known, version in client.sagas:
            if known == name and wanted in (None, version):
                try:
                    self.signal_for(client, name, version)
                except NotFound as unknown:
                    raise Invalid("signal", str(unknown)) from None
                except Invalid as wrong:
                    raise Invalid(f"payload.{wrong.field}", wrong.problem) from None

    def signal_for(self, client: SagaClient, name: str, version: int) -> SagaAct:
        """The signal as it is stored for sagas of a version. Raises NotFound, NoCodeHere, Invalid, TooLarge and
        Unstorable."""
        signal = str(self.act.signal)
        cls = client.signal_class_of(name, version, signal)
        sent = load_input(fill_in_sender(self.act.payload, cls, self.actor, self.known), cls)
        return SagaAct("signal", signal=signal, payload=client.signal_payload_json(signal, sent, cls))


def require_size(count: int, expected: int | None) -> None:
    """Raise Invalid for more sagas than one bulk act may concern, and Conflict for more than are expected."""
    if expected is not None and count > expected:
        found = f"more than {MOST:,}" if count > MOST else f"{count:,}"
        problem = f"{found} sagas match by now, and {expected:,} were expected. Try it out again with dry_run."
        raise Conflict("expectation", problem)
    if count > MOST:
        raise Invalid("filter", f"matches more than {MOST:,} sagas: narrow it, and act on one part after the other")
