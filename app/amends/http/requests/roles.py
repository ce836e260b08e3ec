"""Roles of callers: viewers may read, starters may do the rest, unless a route requires another role."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastapi import Depends, Request
from fastapi.routing import APIRoute, iter_route_contexts
from starlette.routing import BaseRoute, Match

from app.amends.http.error_types import Forbidden
from app.amends.security.tokens import Caller, Role


class RequiredRole:
    """A dependency of a route or a router that requires a role of its callers."""

    def __init__(self, role: Role) -> None:
        self.role = role

    async def __call__(self, request: Request) -> None:
        """Raise Forbidden for a caller whose role does not reach so far."""
        _require(request, self.role)


def requires(role: Role) -> Any:
    """Require a role of the callers of a route or a router: `APIRouter(dependencies=[requires(Role.operator)])`."""
    return Depends(RequiredRole(role))


OPERATORS: Sequence[Any] = (requires(Role.operator),)
"""The dependencies of decisions about sagas, streams and read models."""


def requires_role(dependencies: Sequence[Any]) -> bool:
    """Whether a route, or a router that it is in, requires a role itself."""
    return any(isinstance(each.dependency, RequiredRole) for each in dependencies)


async def require_allowed_role(request: Request) -> None:
    """Raise Forbidden for a caller whose role does not reach so far; without tokens everybody may do everything."""
    route = request.scope.get("route")
    if isinstance(route, APIRoute):
        included = request.scope.get("fastapi", {}).get("effective_route_context")  # with its routers' dependencies
        if not requires_role((included or route).dependencies):
            _require(request, _default_role(request))


def require_role_of_route(request: Request, routes: Sequence[BaseRoute]) -> None:
    """Raise Forbidden as the route that will be taken would, when only the head of the request has been read."""
    for route in iter_route_contexts(routes):
        if route.matches(request.scope)[0] is Match.FULL:
            dependencies: Sequence[Any] = getattr(route, "dependencies", ())
            wanted = [each.dependency.role for each in dependencies if isinstance(each.dependency, RequiredRole)]
            _require(request, max(wanted, default=_default_role(request)))
            return


def _default_role(request: Request) -> Role:
    return Role.viewer if request.method in ("GET", "HEAD") else Role.starter


def _require(request: Request, wanted: Role) -> None:
    caller: Caller | None = getattr(request.state, "caller", None)
    if caller is not None and caller.role < wanted:
        raise Forbidden(caller.name, caller.role.name, wanted.name)
