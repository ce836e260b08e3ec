"""What read models need of a store: their builds, a runner's commits, operations on them, and rows in an append."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Literal, NamedTuple, Protocol

from domain.amends.event import Cause
from domain.amends.projection import Projection
from workflows.amends.ports.event_store import FeedCursor, IdempotencyKey
from workflows.amends.ports.projection_builds import (
    BuildCommit,
    BuildLag,
    BuildTarget,
    DeadLetter,
    FeedEvent,
    FeedPage,
    ProjectionBuild,
    RequestedAction,
    SkippedEvent,
    TableShape,
)

Body = dict[str, Any]


class ErrorClassifier(Protocol):
    """The meaning of errors that a store raises, and that code raises in between."""

    def is_store_away(self, error: BaseException) -> bool:
        """Whether the store is away: the error did not come as an answer, and the same is tried again."""
        ...

    def is_about_row(self, error: BaseException) -> bool:
        """Whether an error of a write is about a row, so that others may go on."""
        ...

    def is_expected(self, error: BaseException) -> bool:
        """Whether the store says it, or Amends itself: whatever else is raised is a fault in somebody's code."""
        ...

    def one_line_message(self, error: BaseException) -> str:
        """An error in one line, without values."""
        ...

    def failure_reason(self, error: Exception) -> str:
        """The reason why a build is not followed, in a line that is the same at each try."""
        ...


class BuildStore(Protocol):
    """Builds and dead letters, for whoever looks at them."""

    async def builds(self, name: str | None = None, patiently: bool = False) -> list[ProjectionBuild]:
        """All builds, or those of one read model, in the order in which they were made.

        It waits for a store that is away: `patiently` for ever, else it raises Unavailable after a while.
        """
        ...

    async def create_first_build(self, projection: Projection[Any, Any]) -> str | None:
        """Make the first build of a read model, live and empty, unless it has one; the reason why it cannot be made."""
        ...

    async def creation_obstacle(self, name: str) -> str | None:
        """Why a read model without a build cannot be given one, as far as one can see without trying."""
        ...

    async def note_reads(self, projections: Collection[Projection[Any, Any]]) -> None:
        """Note in their builds which events projections read, and in all builds the new names of renamed events."""
        ...

    async def lag(self, build: ProjectionBuild) -> BuildLag:
        """The lag of a build."""
        ...

    async def table_shape(self, target: BuildTarget, patiently: bool = False) -> TableShape:
        """The table of a build as it is; it waits as `builds` does."""
        ...

    async def dead_letters(self, name: str | None = None, key: str | None = None) -> list[DeadLetter]:
        """The dead letters by build, oldest first: at most 1000 of a build, or 20 if no read model is named."""
        ...

    async def skipped_events(self, name: str) -> list[SkippedEvent]:
        """The events that a read model leaves out, newest first, at most 1000."""
        ...


class RowTrial(Protocol):
    """A transaction that is rolled back, in which it is tried which rows a table takes."""

    async def rows_json(self, keys: Sequence[str]) -> str:
        """Rows of the build by their keys, as a JSON array."""
        ...

    async def events_at(self, positions: Sequence[int]) -> list[FeedEvent]:
        """The events at these positions, in the order of the feed."""
        ...

    async def put_rows(self, rows: str, gone: Sequence[str]) -> None:
        """Take keys out of the table, and put rows into it; what fails changes nothing. Raises what the table says."""
        ...


class RunnerStore(BuildStore, Protocol):
    """What a runner needs. Reads wait for a store that is away; a commit does not."""

    @property
    def errors(self) -> ErrorClassifier:
        """What its errors mean."""
        ...

    async def take_lease(self, target: BuildTarget, runner: str) -> bool:
        """Take the lease of a build if nobody has it: it was given back, it is over, or its executor was ended."""
        ...

    async def release_lease(self, target: BuildTarget, runner: str) -> None:
        """Give the lease back, if it is this runner's. Raises Unavailable after two seconds."""
        ...

    async def read_page(self, target: BuildTarget, types: Sequence[str], after: FeedCursor, limit: int) -> FeedPage:
        """The next page of so many events of all types, with those of these types."""
        ...

    async def rows_json(self, target: BuildTarget, keys: Sequence[str]) -> str:
        """Rows of a build by their keys, as a JSON array."""
        ...

    async def dead_letter_keys(self, target: BuildTarget) -> set[str]:
        """The keys of a build that are set aside."""
        ...

    async def skipped_positions(self, name: str) -> set[int]:
        """The positions of the events that a read model leaves out."""
        ...

    async def requested_actions(self, target: BuildTarget) -> list[tuple[str, RequestedAction]]:
        """The actions that operators have requested for keys that are set aside: the oldest first, then by key."""
        ...

    async def dead_letter_events(self, target: BuildTarget, key: str) -> list[FeedEvent]:
        """The events of one key that are set aside, in the order in which they would have been applied."""
        ...

    async def note_expected_events(self, target: BuildTarget, types: Sequence[str]) -> None:
        """Count the events of these types, and note that a build will take as many."""
        ...

    async def commit(self, commit: BuildCommit) -> None:
        """Commit rows and checkpoint, if the checkpoint stands where the commit begins, and the lease is the runner's.

        The lease then holds as long as any (LEASE), and no failure is noted any more. Raises LeaseLost, ServerChanged,
        and errors of which `errors` says whether they are about a row.
        """
        ...

    def row_trial(self, target: BuildTarget) -> AbstractAsyncContextManager[RowTrial]:
        """A trial of rows of a build."""
        ...

    async def restore_view(self, name: str) -> None:
        """Let people see the live build of a read model again, if they cannot."""
        ...

    async def note_failure(self, target: BuildTarget, runner: str, failure: str) -> None:
        """Note why a build cannot be followed, unless somebody else follows it."""
        ...


SwitchOutcome = Literal["promoted", "dropped", "live", "unknown", "behind", "less", "followed"]


class OperationOutcome(NamedTuple):
    """The result of an operation: its events, and the answer to its request."""

    events: Sequence[object]
    body: Body


class OperationNotYetPossible(Exception):
    """It may be possible in a moment: the build is behind, or somebody reads the view."""

    def __init__(self, busy: bool) -> None:
        self.busy = busy


class AdministrationTransaction(Protocol):
    """The transaction of an operation on one read model.

    All raise Conflict for what stands in the way, and NotYet if that may pass in a moment.
    """

    async def open_build(self, projection: Projection[Any, Any]) -> int | None:
        """Make a build beside the live one; None if one is being built already."""
        ...

    async def promote(self, build: ProjectionBuild, less: bool) -> SwitchOutcome:
        """Let the view show another build: never one that is behind, nor, without `less`, one that shows less."""
        ...

    async def shown_less(self, build: ProjectionBuild) -> list[str]:
        """The keys that a build shows less of than the live one."""
        ...

    async def drop(self, build: ProjectionBuild) -> SwitchOutcome:
        """Drop a build that is not live."""
        ...

    async def drop_model(self, build: ProjectionBuild) -> SwitchOutcome:
        """Drop the read model of this build, with all builds, unless somebody follows it or did 20 seconds ago."""
        ...

    async def request_action(self, name: str, key: str, action: RequestedAction) -> list[DeadLetter]:
        """Note the requested action for a key, in all builds; returns its dead letters."""
        ...


Operation = Callable[[AdministrationTransaction], Awaitable[OperationOutcome]]


class AdministrationStore(Protocol):
    """Operations on read models."""

    async def administer(self, name: str, cause: Cause, once: IdempotencyKey | None, operation: Operation) -> Body:
        """Carry out an operation, append its events to the read model's own stream, and keep the answer, in one commit.

        The answer has the name and the position of the last event. With a key the same request is carried out once.
        Raises Conflict if the key was used for another request, and Unavailable.
        """
        ...


class ViewStore(Protocol):
    """What people see of read models."""

    async def visible_rows(
        self, projection: Projection[Any, Any], where: Mapping[str, str], after: str | None, limit: int
    ) -> list[dict[str, Any]]:
        """Rows of the live build whose columns have these values, after a key, in the order of keys, as plain data.

        Raises Conflict if there is no build, and Invalid for a column that it does not have, or a value that a column
        cannot have.
        """
        ...

    async def have_reached(self, name: str, cursors: Sequence[FeedCursor]) -> list[bool | None]:
        """Of each place whether the live build has got there: nothing that it reads lies before it and is not in it.

        None if it has not yet, False if the place does not stand any more, so that nothing will get there.
        """
        ...


class ProjectionStore(RunnerStore, AdministrationStore, ViewStore, Protocol):
    """All of it; tests/amends/contracts/projections holds each implementation to it."""


class InlineTransaction(Protocol):
    """The transaction of an append that has written its events and holds their streams."""

    async def builds_of(self, name: str, version: int) -> list[int]:
        """The builds of one version of a read model."""
        ...

    def savepoint(self) -> AbstractAsyncContextManager[Any]:
        """What fails inside changes nothing, and the append goes on."""
        ...

    async def table_shape(self, target: BuildTarget) -> TableShape:
        """The table of a build as it is."""
        ...

    async def dead_letter_state(self, target: BuildTarget, key: str) -> tuple[bool, set[int]]:
        """Whether a key is set aside, and which events are left out; what comes after waits for no lock for long."""
        ...

    async def rows_json(self, target: BuildTarget, keys: Sequence[str]) -> str:
        """Rows of a build by their keys, as a JSON array."""
        ...

    async def later_events(self, stream: str, after: int, types: Sequence[str]) -> list[FeedEvent]:
        """The events of one stream after a version that a read model reads."""
        ...

    async def put_rows(self, target: BuildTarget, rows: str) -> None:
        """Put rows into the table, unless it has newer ones."""
        ...

    async def reset_timeouts(self) -> None:
        """What comes after may wait and take as long as before."""
        ...
