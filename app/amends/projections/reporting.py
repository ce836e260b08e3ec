"""Reports on read models, for people and their tools: their builds, the lag of each, and the progress of a rebuild."""

from __future__ import annotations

from dataclasses import asdict, replace
from datetime import UTC, datetime
from typing import Any

from workflows.amends.ports.projection_builds import BuildLag, BuildTarget, DeadLetter, ProjectionBuild
from workflows.amends.projections.builds import ProjectionBuilds
from workflows.amends.projections.table_check import TableChanged, require_same_table
from workflows.amends.values.codec import dump


async def read_model_report(builds: ProjectionBuilds, name: str | None = None) -> list[dict[str, Any]]:
    """Every read model, or one, as plain JSON data, with the dead letters of its builds."""
    found = await builds.all(name)
    letters = await builds.store.dead_letters(name)
    names = sorted({known for known, _ in builds.known if name in (None, known)} | {each.name for each in found})
    reports = [await _of(builds, each, [build for build in found if build.name == each]) for each in names]
    for each in reports:
        each["set_aside_keys"] = [_dead_letter(one) for one in letters if one.name == each["name"]]
    return reports


def _dead_letter(letter: DeadLetter) -> dict[str, Any]:
    plain: dict[str, Any] = dump(asdict(letter), dict[str, Any])
    return {"wish" if name == "requested_action" else name: value for name, value in plain.items()}


async def _of(builds: ProjectionBuilds, name: str, found: list[ProjectionBuild]) -> dict[str, Any]:
    versions = sorted(version for known, version in builds.known if known == name)
    mode = builds.known[name, versions[-1]].mode if versions else None
    lags = {build.build: await builds.store.lag(build) for build in found}
    found = [await _checked(builds, build) for build in found]
    live = next((build for build in found if build.state == "live"), None)
    building = next((build for build in found if build.state == "building"), None)
    unopened = builds.unopened.get(name)
    if unopened is None and not found and mode != "live":
        unopened = await builds.store.creation_obstacle(name)
    return {
        "name": name,
        "mode": mode,
        "version": live.version if live else versions[-1] if versions else None,
        "code_versions": versions,
        "status": "failing" if unopened else _status(live, versions, mode),
        "failure": unopened or (live and live.failure),
        "build": live and live.build,
        "position": live and str(live.cursor),
        "lag_events": lags[live.build].events if live else 0,
        "lag_seconds": round(lags[live.build].seconds, 3) if live else 0.0,
        "set_aside": live.set_aside if live else 0,
        "skipped": live.skipped if live else 0,
        "rebuild": building and _shown(building, lags[building.build]),
        "builds": [_shown(build, lags[build.build]) for build in found],
    }


async def _checked(builds: ProjectionBuilds, build: ProjectionBuild) -> ProjectionBuild:
    """A build that no runner follows, compared with the code here: no runner would note that it cannot be followed."""
    projection = builds.known.get((build.name, build.version))
    if projection is None or build.failure or not build.free:
        return build

    target = BuildTarget(build.name, build.build)
    shape = await builds.store.table_shape(target)
    try:
        require_same_table(projection, target, shape)
    except TableChanged as changed:
        return replace(build, failure=str(changed))
    return build


def _status(live: ProjectionBuild | None, versions: list[int], mode: str | None) -> str:
    """`following`, or the state that is in the way of that."""
    if mode == "live":
        return "live"
    if live is None:
        return "missing"
    if not versions:
        return "orphaned"
    if live.version not in versions:
        return "outdated"
    if live.failure:
        return "failing"
    return "idle" if live.free else "following" if live.caught_up_at else "catching up"


def _shown(build: ProjectionBuild, lag: BuildLag) -> dict[str, Any]:
    until = build.caught_up_at or datetime.now(UTC)
    seconds = max((until - build.started_at).total_seconds(), 0.001)
    rate = build.events / seconds
    left = max(build.expected - build.events, 0)
    ready = build.caught_up_at is not None
    return {
        "build": build.build,
        "version": build.version,
        "state": "ready" if ready and build.state == "building" else build.state,
        "position": str(build.cursor),
        "events": build.events,
        "progress": 1.0 if ready else round(min(build.events / build.expected, 1.0), 4) if build.expected else 0.0,
        "rate": round(rate, 1),
        "seconds_left": 0.0 if ready else round(left / rate, 1) if rate > 0 else None,
        "lag_events": lag.events,
        "lag_seconds": round(lag.seconds, 3),
        "set_aside": build.set_aside,
        "runner": build.runner,
        "failure": build.failure,
        "started_at": dump(build.started_at, datetime),
        "caught_up_at": dump(build.caught_up_at, datetime | None),
        "promoted_at": dump(build.promoted_at, datetime | None),
    }
