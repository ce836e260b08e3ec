"""Which calls the code of a step makes through the gateways of its saga, read from the code without running it."""

from __future__ import annotations

import dis
import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import CodeType
from typing import Any, Final

from workflows.amends.providers import Provider
from workflows.amends.saga import Saga

DEPTH: Final = 4
"""How many objects deep a gateway is searched for its provider."""


@dataclass(frozen=True)
class OutboundCall:
    """A call through a field of a saga, such as `payments.charge`; `provider` is None where its gateway names none."""

    gateway: str
    operation: str
    provider: str | None


def outbound_calls(saga: Saga[Any, Any], body: Callable[..., Any]) -> tuple[OutboundCall, ...]:
    """The calls that stand in a body, in their order, each once: those of `self.gateway.operation`.

    A branch may leave some of them out, and what the body hands on to other functions is not found.
    """
    code = getattr(inspect.unwrap(body), "__code__", None)
    if not isinstance(code, CodeType) or not code.co_varnames:
        return ()
    found: dict[tuple[str, str], OutboundCall] = {}
    for gateway, operation in _attributes(code):
        held = getattr(saga, gateway, None)
        if held is not None and not inspect.isroutine(held) and callable(getattr(held, operation, None)):
            found.setdefault((gateway, operation), OutboundCall(gateway, operation, provider_name(held)))
    return tuple(found.values())


def provider_name(gateway: object) -> str | None:
    """The name of the provider that a gateway holds, itself or through what it holds; None without just one."""
    names = {each.name for each in _held_providers(gateway, DEPTH, set())}
    return names.pop() if len(names) == 1 else None


def _attributes(code: CodeType) -> Iterator[tuple[str, str]]:
    """The pairs of names that are read from the first parameter, the second from the first."""
    own, before = code.co_varnames[0], list[str]()
    for each in dis.get_instructions(code):
        if each.opname.startswith("LOAD_FAST"):
            before = ["self"] if each.argval == own else []
        elif each.opname in ("LOAD_ATTR", "LOAD_METHOD") and before:
            before.append(str(each.argval))
            if len(before) == 3:
                yield before[1], before[2]
                before = []
        elif each.opname not in ("CACHE", "PUSH_NULL"):
            before = []


def _held_providers(held: object, depth: int, seen: set[int]) -> Iterator[Provider]:
    if isinstance(held, Provider):
        yield held
        return
    if depth == 0 or id(held) in seen:
        return
    seen.add(id(held))
    for each in vars(held).values() if hasattr(held, "__dict__") else ():
        yield from _held_providers(each, depth - 1, seen)
