"""Draws the rings of the house from their imports, into `docs/rings.svg`: `./run picture`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from html import escape
from textwrap import wrap

import grimp

from tests.amends.harness import ROOT

FILE = ROOT / "docs" / "rings.svg"
RINGS = ("app", "workflows", "domain")
LEGEND = "Blue: Amends. A box imports only boxes in rows below its own. Yellow: yours. No blue box imports it."
STYLE = (
    "text{font:12px ui-monospace,Menlo,Consolas,monospace;fill:#111}.ring{font-size:15px;font-weight:bold}"
    ".page{fill:#fff}.band{fill:#f3f4f6}.amends{fill:#dbeafe;stroke:#1d4ed8}.team{fill:#fef3c7;stroke:#b45309}"
)
WIDTH, LEFT, MIDDLE, EDGE = 820, 130, 570, 12
ROW, BOX, LINE, CHARACTER = 32, 24, 16, 7.3
"""The heights of a row, of a box in it and of a line of text, and the width of a character."""


@dataclass
class Ring:
    """The packages and modules of Amends in one ring, with what each imports of the others, and the team's beside."""

    name: str
    amends: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    team: set[str] = field(default_factory=set)

    @property
    def rows(self) -> list[list[str]]:
        """Amends' part from top to bottom, in rows that import only rows below."""
        heights = {name: self._height(name) for name in self.amends}
        return [sorted(name for name in heights if heights[name] == at) for at in range(max(heights.values()), -1, -1)]

    def _height(self, name: str, above: tuple[str, ...] = ()) -> int:
        assert name not in above, f"{' imports '.join([*above, name])}, in a circle"
        return max((self._height(each, (*above, name)) + 1 for each in self.amends[name]), default=0)


def picture() -> str:
    """The rings as SVG, one below the other."""
    parts, top = list[str](), EDGE
    for ring in _rings():
        height = ROW * len(ring.rows) + EDGE
        parts += _ring(ring, top, height)
        top += height + EDGE
    parts.append(_text(EDGE, top + LINE, LEGEND))
    whole = top + 2 * LINE
    opening = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {whole}" width="{WIDTH}" height="{whole}">'
    return "\n".join([opening, f"<style>{STYLE}</style>", _box("page", 0, 0, WIDTH, whole), *parts, "</svg>\n"])


def _rings() -> list[Ring]:
    """The rings from the top, as the imports are."""
    graph, rings = grimp.build_graph(*RINGS, cache_dir=None), {name: Ring(name) for name in RINGS}
    for module in graph.modules:
        ring, owner, name = _place(module)
        if name and owner == "team":
            rings[ring].team.add(name)
        elif name:
            others = [_place(each) for each in graph.find_modules_directly_imported_by(module)]
            rings[ring].amends[name] |= {each for *place, each in others if place == [ring, owner]} - {name, ""}
    return [rings[name] for name in RINGS]


def _place(module: str) -> tuple[str, str, str]:
    """The ring of a module, whose it is, and the name of its package there, which may be none."""
    ring, owner, name = [*module.split("."), "", ""][:3]
    return (ring, owner, name) if owner == "amends" else (ring, "team", owner)


def _ring(ring: Ring, top: int, height: int) -> Iterator[str]:
    yield _box("band", EDGE, top, WIDTH - 2 * EDGE, height)
    yield _text(2 * EDGE, top + EDGE + LINE, ring.name, "ring")
    for number, row in enumerate(ring.rows):
        x, y = LEFT, top + EDGE + ROW * number
        for name in row:
            width = round(CHARACTER * len(name)) + 18
            yield _box("amends", x, y, width, BOX)
            yield _text(x + 9, y + LINE, name)
            x += width + 10
    yield _box("team", MIDDLE, top + EDGE, WIDTH - MIDDLE - 2 * EDGE, height - 2 * EDGE)
    for number, line in enumerate(wrap(", ".join(sorted(ring.team)), 28)):
        yield _text(MIDDLE + 9, top + EDGE + LINE * (number + 1), line)


def _box(kind: str, x: int, y: int, width: int, height: int) -> str:
    return f'<rect class="{kind}" x="{x}" y="{y}" width="{width}" height="{height}" rx="4"/>'


def _text(x: int, y: int, text: str, kind: str = "") -> str:
    return f'<text{kind and f" class={kind!r}"} x="{x}" y="{y}">{escape(text)}</text>'


def main() -> None:
    """Draw it anew."""
    FILE.write_text(picture())


if __name__ == "__main__":
    main()
