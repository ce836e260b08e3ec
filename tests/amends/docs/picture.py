"""Draws the rings of the house from their imports, into `docs/architecture.md`: `./run picture`."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping
from typing import NamedTuple, TypeVar

import grimp

from tests.amends.harness.server import ROOT

PAGE = ROOT / "docs" / "architecture.md"
DRAWN = re.compile(r"^```mermaid\n.*?^```$", re.MULTILINE | re.DOTALL)
RINGS = ("app", "workflows", "domain")
COLOURS = {"amends": "fill:#dbeafe,stroke:#1d4ed8,color:#111", "team": "fill:#fef3c7,stroke:#b45309,color:#111"}

Node = TypeVar("Node")
Graph = Mapping[Node, set[Node]]


class Room(NamedTuple):
    """A package or a module of Amends, or all that is the team's in one ring."""

    ring: str
    owner: str
    name: str


Box = tuple[Room, ...]
"""Rooms that import each other, directly or through others."""


def picture() -> str:
    """The rings as Mermaid draws them; an arrow is an import, and one that a longer way implies is left out."""
    boxes = _without_circles(_imports())
    number = {box: f"n{place}" for place, box in enumerate(sorted(boxes))}
    lines = ["flowchart TB"]
    for ring in RINGS:
        lines.append(f"  subgraph {ring}")
        lines += [
            f'    {number[box]}["{_label(box)}"]:::{box[0].owner}' for box in sorted(boxes) if box[0].ring == ring
        ]
        lines.append("  end")
    lines += [f"  {number[box]} --> {number[each]}" for box in sorted(boxes) for each in sorted(_shortest(box, boxes))]
    lines += [f"  classDef {owner} {colour}" for owner, colour in COLOURS.items()]
    return "\n".join(lines) + "\n"


def _imports() -> Graph[Room]:
    """Which rooms import which."""
    graph = grimp.build_graph(*RINGS, cache_dir=None)
    found: dict[Room, set[Room]] = defaultdict(set)
    for module in graph.modules:
        if room := _room(module):
            others = {_room(each) for each in graph.find_modules_directly_imported_by(module)}
            found[room] |= {each for each in others if each and each != room}
    return found


def _room(module: str) -> Room | None:
    ring, *rest = module.split(".")
    match rest:
        case ["amends"] if ring != "domain":
            return None
        case ["amends", *_] if ring == "domain":
            return Room(ring, "amends", "amends")
        case ["amends", name, *_]:
            return Room(ring, "amends", name)
        case [_, *_]:
            return Room(ring, "team", "yours")
        case _:
            return None


def _without_circles(graph: Graph[Room]) -> Graph[Box]:
    reached = {room: _reached(room, graph) for room in graph}
    box = {room: tuple(sorted({room} | {each for each in reached[room] if room in reached[each]})) for room in graph}
    boxes: dict[Box, set[Box]] = {each: set() for each in box.values()}
    for room, others in graph.items():
        boxes[box[room]] |= {box[each] for each in others} - {box[room]}
    return boxes


def _reached(start: Node, graph: Graph[Node]) -> set[Node]:
    """What a node imports, directly or through others."""
    reached, left = set[Node](), [start]
    while left:
        new = graph[left.pop()] - reached
        reached |= new
        left += new
    return reached


def _shortest(box: Box, boxes: Graph[Box]) -> set[Box]:
    """What a box imports, without what others that it imports lead to."""
    return {each for each in boxes[box] if not any(each in _reached(other, boxes) for other in boxes[box] - {each})}


def _label(box: Box) -> str:
    names = [room.name for room in box]
    return "<br/>".join(", ".join(names[at : at + 4]) for at in range(0, len(names), 4))


def main() -> None:
    """Draw it anew."""
    PAGE.write_text(DRAWN.sub(lambda _: f"```mermaid\n{picture()}```", PAGE.read_text()))


if __name__ == "__main__":
    main()
