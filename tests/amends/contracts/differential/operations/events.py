"""Appends and reads of streams and of the feed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from domain.amends.event import EventType
from domain.amends.expected import ANY, NONE, Expected, exact
from tests.amends.contracts.differential.draw import Draw, Operation
from tests.amends.contracts.differential.operations import operation
from tests.amends.contracts.differential.sides import Side
from workflows.amends.ports.event_store import START, FeedFilter, NewEvent

STREAMS = ("thing-1", "thing-2", "thing-10", "b", "ü")
NAMES = ("thing-happened", "thing-broke")


def new(draw: Draw) -> NewEvent:
    type = EventType(draw.random.choice(NAMES), draw.random.choice([1, 1, 2]))
    data = {"n": draw.number(), "value": draw.value()}
    event = NewEvent(draw.id(), draw.random.choice(STREAMS), type, data, draw.cause())
    draw.appended.append(event)
    return event


def expected(draw: Draw, events: list[NewEvent]) -> dict[str, Expected]:
    wanted = dict[str, Expected]()
    for stream in draw.some(sorted({*STREAMS[:2], *(event.stream for event in events)})):
        version = draw.store.events.version(stream)
        wanted[stream] = draw.random.choice([exact(version)] * 6 + [ANY, NONE, exact(version + 1)])
    return wanted


@operation(8, "success", "StaleVersion", "RepeatedRequest")
def append(draw: Draw) -> Operation | None:
    events = [new(draw) for _ in range(draw.random.choice([0, 1, 1, 1, 2, 3, 5]))]
    return draw.remember(Operation.of("append", "events.append", events, expected(draw, events), draw.answer()))


@operation(3, "success", "Conflict", "Invalid")
def append_what_is_known(draw: Draw) -> Operation | None:
    """Events that are there already, some of them, or others under their ids."""
    known = [event for event in draw.appended if draw.store.events.event_by_id(event.id)]
    if not known:
        return None
    events = draw.random.sample(known, min(len(known), draw.random.choice([1, 1, 2, 3])))
    if draw.once_in(3):
        changes: list[dict[str, Any]] = [
            {"data": {"n": -1}},
            {"stream": "thing-99"},
            {"type": EventType("another", 1)},
            {"stream": "saga-s-1"},
            {"cause": draw.cause()},
        ]
        events[0] = replace(events[0], **draw.random.choice(changes))
    if draw.once_in(4):
        events.insert(draw.random.randrange(len(events) + 1), new(draw))
    return Operation.of("append what is known", "events.append", events, expected(draw, events), draw.answer())


@operation()
def read(draw: Draw) -> Operation | None:
    saga = draw.row()
    streams = [*STREAMS, "account-1", "tally-1", "nothing", *([f"saga-{saga.id}"] if saga else [])]
    stream, after = draw.random.choice(streams), draw.random.choice([0, 0, 1, 2, 5, -1])
    return Operation.of("read", "events.read", stream, after, draw.random.choice([1, 3, 1000]))


@operation(4)
def feed(draw: Draw) -> Operation | None:
    """A page of the feed after some event of it."""
    stored = draw.store.events.stored
    at, limit = draw.random.randrange(len(stored) + 1), draw.random.choice([1, 7, 1000])
    near = draw.one_of(stored)
    story = near and near.metadata.get("correlation_id")
    given = FeedFilter(
        near.name if near and draw.once_in(3) else None,
        near.stream if near and draw.once_in(3) else None,
        story if isinstance(story, str) and draw.once_in(3) else None,
    )

    async def call(side: Side) -> Any:
        before = await side.events.feed(limit=at) if at else []
        after = before[-1].cursor if before else START
        return await side.events.feed(after, limit, given)

    return Operation("feed", f"after {at}, limit {limit}, {given}", call, "events.feed")
