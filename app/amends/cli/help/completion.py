"""What a shell is offered where a name is to be typed; whatever is wrong in the project, it offers nothing then."""

from __future__ import annotations

from typing import get_args

from domain.amends.errors import AmendsError
from workflows.amends.history.status import Status


def saga_names(incomplete: str) -> list[str]:
    """The names of the project's sagas that begin so."""
    from app.amends.cli.command_context import definitions
    from app.amends.cli.project import project_service, project_settings

    try:
        found = definitions(project_service(), project_settings())
    except AmendsError:
        return []
    return sorted({each.name for each in found if each.name.startswith(incomplete)})


def read_model_names(incomplete: str) -> list[str]:
    """The names of the project's read models that begin so."""
    from app.amends.schema.catalogue import load_catalogue

    try:
        found = load_catalogue().projections
    except AmendsError:
        return []
    return sorted({name for name, _ in found if name.startswith(incomplete)})


def statuses(incomplete: str) -> list[str]:
    """The statuses of sagas that begin so."""
    return [each for each in get_args(Status) if each.startswith(incomplete)]
