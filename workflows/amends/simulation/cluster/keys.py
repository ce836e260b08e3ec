"""What a team's own fakes were asked for, by the keys of the calls: which steps took effect, and which were undone."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, fields, is_dataclass, replace
from functools import wraps
from typing import Any, NamedTuple, TypeVar, cast

from workflows.amends.saga import Saga
from workflows.amends.simulation.cluster.cluster import ServerGateways
from workflows.amends.simulation.cluster.server.store import ClusterStore

T = TypeVar("T")


class CallKey(NamedTuple):
    """The key of a call, in its parts: the saga's id, the step's or the compensation's name, and which call it was."""

    saga: str
    name: str
    call: str

    @classmethod
    def parse(cls, text: object) -> CallKey | None:
        """The parts of a key; None for anything else."""
        parts = text.rsplit(".", 3) if isinstance(text, str) else []
        if len(parts) != 4 or not (parts[2].isdecimal() and parts[3].isdecimal()):
            return None
        return cls(parts[0], parts[1], f"{parts[2]}.{parts[3]}")


@dataclass
class CallLedger:
    """The books of all calls. `problems` are calls that took effect although they had been undone before."""

    sagas: list[type[Saga[Any, Any]]]
    done: dict[CallKey, None] = field(default_factory=dict)
    undone: dict[CallKey, None] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        steps = [declared.step for saga in self.sagas for declared in saga.definition.steps.values()]
        self._undoes = {step.compensation.name: step.name for step in steps if step.compensation}

    def note_answered(self, arguments: Iterator[object]) -> None:
        """Take note of a call that a fake has answered."""
        keys = [key for each in arguments if (key := CallKey.parse(each))]
        if back := [key for key in keys if key.name in self._undoes]:
            key = back[0]
            self.undone[CallKey(key.saga, self._undoes[key.name], key.call)] = None
            return
        for key in keys:
            if key in self.undone:
                self.problems.append(
                    f"{'.'.join(key)} took effect after it had been undone: whoever is told to undo something that has "
                    "not come yet must refuse it when it comes"
                )
            self.done[key] = None

    def problems_of(self, store: ClusterStore) -> Iterator[str]:
        """What was forgotten: steps that were done and not undone, or the other way round."""
        yield from self.problems
        with_compensation = set(self._undoes.values())
        for id, row in store.rows.items():
            state = store.saga_history(id).fold.state()
            mine = [key for key in self.done if key.saga == id and key.name in with_compensation]
            if row.status == "compensated":
                yield from (
                    f"{'.'.join(key)} was not undone, but {id} is compensated" for key in mine if key not in self.undone
                )
            if row.status == "completed":
                completed = {(step.name, step.occurrence) for step in state.steps if step.status == "completed"}
                for key in mine:
                    if key in self.undone and (key.name, int(key.call.split(".")[0])) in completed:
                        yield f"{'.'.join(key)} was undone, but {id} is completed"


def with_recorded_calls(saga: Saga[Any, Any], reached: ServerGateways, books: CallLedger) -> Saga[Any, Any]:
    """A saga whose ports are reached over the network; what they are asked for is written into the books."""
    if not is_dataclass(saga):
        return saga
    ports = {each.name: getattr(saga, each.name) for each in fields(saga)}
    far = {name: reached.to(RecordingFake(port, books), name) for name, port in ports.items() if _is_port(port)}
    return cast("Saga[Any, Any]", replace(saga, **far))


class RecordingFake:
    """A fake whose calls are noted."""

    def __init__(self, fake: object, books: CallLedger) -> None:
        self._fake, self._books = fake, books

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._fake, name)
        return self._noted(found) if inspect.iscoroutinefunction(found) else found

    def _noted(self, operation: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(operation)
        async def call(*args: Any, **options: Any) -> Any:
            answer = await operation(*args, **options)
            self._books.note_answered(iter((*args, *options.values())))
            return answer

        return call


def _is_port(value: object) -> bool:
    """Whether something is called: it has a method that is awaited."""
    if isinstance(value, (str, bytes, int, float, type(None), tuple, list, dict, type)):
        return False
    names = (name for name in dir(type(value)) if not name.startswith("_"))
    return any(inspect.iscoroutinefunction(getattr(type(value), name, None)) for name in names)
