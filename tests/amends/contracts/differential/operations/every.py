"""All kinds of operations: each of these modules has added its own."""

from __future__ import annotations

from tests.amends.contracts.differential.operations import KINDS, aggregates, brakes, commits, events, people, queue

__all__ = ["KINDS", "aggregates", "brakes", "commits", "events", "people", "queue"]
