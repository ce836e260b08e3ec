"""Projection builds: the tables of read models, their state, and their lag."""

from __future__ import annotations

from typing import Any

from domain.amends.errors import Conflict, Invalid, NotFound
from domain.amends.projection import Projection
from workflows.amends.ports.projection_builds import KnownProjections, ProjectionBuild
from workflows.amends.ports.projection_store import ProjectionStore


class ProjectionBuilds:
    """All builds. `known` are the projections of this code, by name and version."""

    def __init__(self, known: KnownProjections, store: ProjectionStore) -> None:
        self.known, self.store = known, store
        self.unopened: dict[str, str] = {}
        """Reasons why read models cannot be given their first table, by name, as far as this process knows."""

    async def require(self, name: str) -> None:
        """Raise NotFound unless there is a read model of this name, with or without code."""
        if not self.is_orphaned(name) or not await self.all(name):
            self.newest(name)

    def is_orphaned(self, name: str) -> bool:
        """Whether this process has no version of its code."""
        return not any(known == name for known, _ in self.known)

    def newest(self, name: str) -> Projection[Any, Any]:
        """The newest version of a projection. Raises NotFound, listing the known ones."""
        versions = [version for known, version in self.known if known == name]
        if not versions:
            raise NotFound("projection", name, f"There are: {', '.join(sorted({known for known, _ in self.known}))}.")
        return self.known[name, max(versions)]

    async def all(self, name: str | None = None) -> list[ProjectionBuild]:
        """All builds, or those of one read model, in the order in which they were made."""
        return await self.store.builds(name)

    async def create_first_builds(self) -> None:
        """Make the first build of every read model that has none: it is live at once, and empty.

        A failure is noted in `unopened`, and keeps no other build from being made.
        """
        await self.note_reads()
        names = {name for name, _ in self.known}
        wanted = [each for each in map(self.newest, sorted(names)) if each.mode != "live"]
        reasons = {each.name: await self.store.create_first_build(each) for each in wanted}
        self.unopened = {name: reason for name, reason in reasons.items() if reason is not None}

    async def note_reads(self) -> None:
        """Note in the builds which events each read model reads, before this code appends one by a new name.

        Waits, lags and promotions go by these names; code that knows fewer does not follow the build. Builds of
        versions that this code does not have get the new names of renamed events. Raises Unavailable.
        """
        await self.store.note_reads([each for each in self.known.values() if each.mode != "live"])

    async def get(self, name: str, build: int) -> ProjectionBuild:
        """One build. Raises NotFound."""
        await self.require(name)
        found = next((each for each in await self.all(name) if each.build == build), None)
        if found is None:
            raise build_not_found(name, build)
        return found

    async def promotable(self, name: str) -> int:
        """The build that a promotion means if none is named. Raises Conflict if none was rebuilt."""
        self.newest(name)
        found = [each.build for each in await self.all(name) if each.state == "building"]
        if not found:
            raise Conflict("nothing-built", f"{name} has no rebuilt table: rebuild it first, or name a retired build.")
        return found[-1]

    async def droppable(self, name: str) -> int:
        """The build that a drop means if none is named. Raises Conflict unless there is one beside the live one."""
        self.newest(name)
        found = [each for each in await self.all(name) if each.state != "live"]
        if len(found) != 1:
            builds = ", ".join(f"{each.build} ({each.state})" for each in found) or "none"
            raise Conflict("which", f"Say which build of {name} to drop; there are: {builds}.")
        return found[0].build


def build_not_found(name: str, build: int) -> NotFound:
    """The error for a build that does not exist."""
    return NotFound("build", f"{name} {build}", f"See the builds of {name}: ./run amends projections list.")


def no_column(projection: Projection[Any, Any], field: str) -> Invalid:
    """The error for a field that is no column of the live build: of none, or only of one that this code would make."""
    columns = [column.name for column in projection.columns]
    if field in columns:
        return Invalid(field, f"is no column of {projection.name} yet: rebuild it, and promote the new table")
    return Invalid(field, f"is no column of {projection.name}; there are: {', '.join(columns)}")
