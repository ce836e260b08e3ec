"""Holds the effects of the example's provider too, each by its reference and operation: `o-1 charge`."""

from __future__ import annotations

from contextlib import AbstractContextManager

from sqlalchemy import URL

from tests.amends.harness.holding import CommitHolder

EFFECTS = """
create function test.hold_effect() returns trigger language plpgsql as $$
begin
    perform test.wait_if_held(new.reference || ' ' || new.operation);
    return new;
end $$;
create trigger hold before insert on sandbox.effects for each row execute function test.hold_effect();
"""


def holder_on(url: URL) -> AbstractContextManager[CommitHolder]:
    """A holder of commits and effects."""
    return CommitHolder.on(url, EFFECTS)
