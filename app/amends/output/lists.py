"""Lists of sagas: a line each where they go on to other programs, and as wide as the terminal where a person reads."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class ListedSaga:
    """One saga of a list, as it may be shown."""

    started_at: str
    status: str
    name: str
    id: str
    reference: str
    reason: str


def list_lines(sagas: Sequence[ListedSaga], width: int | None) -> Iterator[str]:
    """The lines of a list; without a width each saga is one. An id is never cut, nor are references."""
    status, name, id = (max((len(vars(each)[part]) for each in sagas), default=0) for part in ("status", "name", "id"))
    for each in sagas:
        head = f"{each.started_at}  {each.status:<{status}}  {each.name:<{name}}"
        more = [each.reference, each.reason]
        if width is None:
            yield "  ".join([head, f"{each.id:<{id}}", *more]).rstrip()
            continue
        told = "  ".join(part for part in more if part and part != each.id)
        yield from _fitted(head, each.id, told, width, aligned=id)


def _fitted(head: str, id: str, told: str, width: int, aligned: int) -> Iterator[str]:
    """As much of one saga on a line as fits; an id that does not fit stands on one of its own."""
    whole = f"{head}  {id:<{aligned}}  {told}".rstrip()
    if len(whole) <= width:
        yield whole
    elif len(f"{head}  {id}") <= width:
        yield f"{head}  {id}"
        yield from _told(told)
    else:
        yield head.rstrip()
        yield f"  {id}"
        yield from _told(told)


def _told(told: str) -> Iterator[str]:
    if told:
        yield f"    {told}"
