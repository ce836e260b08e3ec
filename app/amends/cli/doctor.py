"""The whole examination: this machine, the project in this folder, and its database, as far as each can be had."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

from app.amends.cli.project import database_in_use, project_service, project_settings
from app.amends.doctor.database import run_checks
from app.amends.doctor.findings import Finding
from app.amends.doctor.machine import machine_findings
from app.amends.postgres.migrate import Migrations
from app.amends.schema.catalogue import load_catalogue
from domain.amends.errors import AmendsError, StartupError
from workflows.amends.dbos.runtime import newest_migration


def examine(host: str, port: int) -> Iterator[Finding]:
    """All findings, each as soon as it is there."""
    yield from machine_findings(host, port)
    try:
        yield _project()
        project_settings()
    except AmendsError as error:
        yield _failed("project", error)
        return
    yield Finding("settings", True, "all are known and fit")
    yield from _database()


def _project() -> Finding:
    from app.amends.cli.command_context import definitions

    known, sagas = load_catalogue(), definitions(project_service(), project_settings())
    text = f"{len(sagas)} sagas, {len(known.aggregates)} aggregates, {len(known.projections)} read models"
    return Finding("project", True, f"{text}, of {project_service().root}")


def _database() -> Iterator[Finding]:
    migrations = Migrations(project_service().root, newest_migration())
    try:
        with database_in_use() as access:
            yield from asyncio.run(run_checks(access.service, load_catalogue().projections, migrations))
    except StartupError as error:
        yield _failed("database", error)


def _failed(what: str, error: AmendsError) -> Finding:
    if isinstance(error, StartupError):
        return Finding(what, False, error.problem, error.remedy)
    return Finding(what, False, str(error))
