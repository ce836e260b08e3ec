"""The tables of docs/moving.md, made from the map: `python -m tests.amends.packaging.page` writes them anew."""

from __future__ import annotations

from collections.abc import Iterator

from app.amends.moving.moves import Moves, shipped_moves
from tests.amends.harness import ROOT

PAGE = ROOT / "docs" / "moving.md"
BEGIN, END = "<!-- made from app/amends/moving/moved.toml -->", "<!-- until here -->"


def page(text: str, known: Moves) -> str:
    """The page with its tables as they must be; what stands before and after them stays."""
    before, _, rest = text.partition(f"{BEGIN}\n")
    _, _, after = rest.partition(END)
    return "\n".join([f"{before}{BEGIN}", *tables(known), f"{END}{after}"])


def tables(known: Moves) -> Iterator[str]:
    """Three tables: modules, names, and members."""
    yield from ("", "### Modules", "", "| was | is |", "|---|---|")
    yield from (f"| `{old}` | `{new}` |" for old, new in known.modules.items())
    yield from ("", "### Names", "", "| was | is |", "|---|---|")
    yield from (f"| `{old}` | `{new}` |" for old, new in known.names.items())
    yield from ("", "### Fields and methods", "", "| of | was | is |", "|---|---|---|")
    for cls, members in known.members.items():
        yield from (f"| `{cls}` | `{old}` | `{new}` |" for old, new in members.items())
    yield ""


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8"), shipped_moves()), encoding="utf-8")
