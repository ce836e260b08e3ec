"""Proves of a read model that it does not matter how its events come: one by one, many at once, with rests in between.

    require_batch_invariance(order_board, history, sizes=[1, 3, 2])      # sizes from Hypothesis, for instance

Between two batches rows are written to a table and read again: what does not survive that, or what `evolve` keeps
elsewhere than in its row, shows.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import cycle
from typing import TypeVar

from domain.amends.projection import Projection, Recorded, differing_keys
from workflows.amends.values.codec import require_json, stored_value
from workflows.amends.values.limits import Limits

Row = TypeVar("Row")
E = TypeVar("E")


def require_batch_invariance(
    projection: Projection[Row, E], history: Sequence[Recorded[E]], sizes: Iterable[int]
) -> None:
    """Apply a history in batches of these sizes, over and over, and compare each prefix with the same taken at once.

    Raises AssertionError naming the first event after which a row differs, DefinitionError for rows of a type that
    does not survive JSON, and Unstorable for a row that would come back as another one.
    """
    require_json(projection.row, f"projection {projection.name!r}, row")
    rows: dict[str, Row] = {}
    done, lengths = 0, cycle([size for size in sizes if size > 0] or [1])
    while done < len(history):
        batch = history[done : done + next(lengths)]
        kept: dict[str, Row | None] = {key: _stored(projection, row) for key, row in rows.items()}
        for recorded in batch:
            projection.apply(kept, recorded)
        rows = {key: row for key, row in kept.items() if row is not None}
        done += len(batch)
        wrong = differing_keys(rows, projection(history[:done]))
        assert not wrong, f"{projection.name}: after {done} events, in batches, {wrong[0]!r} has another row"


def _stored(projection: Projection[Row, E], row: Row) -> Row:
    """A row as it comes back from a table. Raises Unstorable for one that would come back as another one."""
    found: Row = stored_value(row, projection.row, f"a row of {projection.name}", Limits().value).value
    return found
