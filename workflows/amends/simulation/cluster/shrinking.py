"""Makes a history that fails smaller, as long as it fails: fewer faults, fewer servers, fewer sagas, better weather."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import fields, replace
from typing import TypeVar

from workflows.amends.simulation.cluster.clients import Action, StartAction
from workflows.amends.simulation.cluster.faults import Faults
from workflows.amends.simulation.cluster.network import FAIR, NetworkConditions
from workflows.amends.simulation.cluster.server.server import ServerSite

T = TypeVar("T")


def shrink(whole: T, smaller: Callable[[T], Iterator[T]], fails: Callable[[T], bool], tries: int = 400) -> T:
    """The least that still fails, of what `smaller` makes of it step by step; at most so many are tried."""
    least, found = whole, True
    while found:
        found = False
        for each in smaller(least):
            if (tries := tries - 1) < 0:
                return least
            if fails(each):
                least, found = each, True
                break
    return least


def smaller_faults(faults: Faults) -> Iterator[Faults]:
    """Faults that are a little less, the boldest cuts first."""
    if faults.weather != FAIR:
        yield replace(faults, weather=FAIR)
    for number in range(len(faults.events)):
        yield replace(faults, events=_without(faults.events, number))
    for number in range(len(faults.traps)):
        yield replace(faults, traps=_without(faults.traps, number))
    if len(faults.servers) > 1:
        last = len(faults.servers) - 1
        events = tuple(each for each in faults.events if getattr(each, "server", 0) != last)
        yield replace(faults, servers=faults.servers[:-1], events=events)
    for number, site in enumerate(faults.servers):
        if (plain := ServerSite(site.machine)) != site:
            yield replace(faults, servers=(*faults.servers[:number], plain, *faults.servers[number + 1 :]))
    if faults.weather != FAIR:
        yield from (replace(faults, weather=each) for each in _calmer(faults.weather))


def smaller_actions(actions: tuple[Action, ...]) -> Iterator[tuple[Action, ...]]:
    """Fewer sagas, and then fewer signals and cancels."""
    for start in [each for each in actions if isinstance(each, StartAction)]:
        yield tuple(each for each in actions if each.id != start.id)
    for number, action in enumerate(actions):
        if not isinstance(action, StartAction):
            yield _without(actions, number)


def _calmer(weather: NetworkConditions) -> Iterator[NetworkConditions]:
    for field in fields(weather):
        if field.name != "longest" and getattr(weather, field.name):
            yield replace(weather, **{field.name: 0.0})


def _without(several: tuple[T, ...], number: int) -> tuple[T, ...]:
    return several[:number] + several[number + 1 :]
