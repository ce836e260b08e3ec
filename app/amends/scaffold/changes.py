"""What has changed between two versions, for those who use Amends, as its changelog says."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from app.amends.scaffold.source import CHECKOUT

PACKAGED = Path(__file__).with_name("CHANGELOG.md")
MOST = 60
"""Lines that fit one screen, and a little more."""


def changelog() -> str:
    """The changelog of this version."""
    return (PACKAGED if PACKAGED.is_file() else CHECKOUT / "CHANGELOG.md").read_text()


def changes_between(before: str, after: str) -> Iterator[str]:
    """The entries of a changelog that an earlier one does not have, below their headings, as far as a screen holds."""
    known, shown = set(_entries(before)), 0
    headings: list[str] = []
    if not after:
        yield "The other version says nothing of what has changed."
        return
    for entry in _entries(after):
        if entry.startswith("# "):
            continue
        if entry.startswith("#"):
            headings = [*(each for each in headings if each.index(" ") < entry.index(" ")), entry]
        elif entry not in known:
            yield from [*headings, entry] if shown < MOST else []
            shown, headings = shown + entry.count("\n") + 1 + len(headings), []
    if shown >= MOST:
        yield f"… and more, {shown} lines in all: see CHANGELOG.md of that version."
    if not shown:
        yield "Nothing has changed for those who use Amends."


def _entries(text: str) -> Iterator[str]:
    """Headings, and entries with the lines that go on with them."""
    entry: list[str] = []
    for line in [*text.splitlines(), ""]:
        if not line.startswith(" ") and entry:
            yield "\n".join(entry)
            entry = []
        if line:
            entry.append(line)
