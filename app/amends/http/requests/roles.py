"""What a route asks of its caller: viewers read, starters do the rest, unless the route says another role."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastapi import Depends, Request
from fastapi.routing import APIRoute, iter_route_contexts
from starlette.routing import BaseRoute, Match

from app.amends.http.errors import Forbidden
from app.amends.security.tokens import Caller, Role


class Needs:
    """Says on a route or a router which role its callers need."""

    def __init__(self, role: Role) -> None:
        self.role = role

    async def __call__(self, request: Request) -> None:
        """Raises Forbidden."""
        _require(request, self.role)


def needs(role: Role) -> Any:
    """Say on a route or a router which role its callers need: `APIRouter(dependencies=[needs(Role.operator)])`."""
    return Depends(Needs(role))


OPERATORS: Sequence[Any] = (needs(Role.operator),)
"""For what is decided about others' sagas, streams and read models."""


def named(dependencies: Sequence[Any]) -> bool:
    """Whether a route, or a router that it is in, says itself what its callers need."""
    return any(isinstance(each.dependency, Needs) for each in dependencies)


async def only_allowed(request: Request) -> None:
    """Raises Forbidden for a caller whose token does not reach so far; without tokens everybody may do all."""
    route = request.scope.get("route")
    if isinstance(route, APIRoute):
        included = request.scope.get("fastapi", {}).get("effective_route_context")  # with its routers' dependencies
        if not named((included or route).dependencies):
            _require(request, _unless_named(request))


def require_role(request: Request, routes: Sequence[BaseRoute]) -> None:
    """Raises Forbidden as the route that will be taken would, before anything but the head of the request is read."""
    for route in iter_route_contexts(routes):
        if route.matches(request.scope)[0] is Match.FULL:
            dependencies: Sequence[Any] = getattr(route, "dependencies", ())
            wanted = [each.dependency.role for each in dependencies if isinstance(each.dependency, Needs)]
            _require(request, max(wanted, default=_unless_named(request)))
            return


def _unless_named(request: Request) -> Role:
    return Role.viewer if request.method in ("GET", "HEAD") else Role.starter


def _require(request: Request, wanted: Role) -> None:
    caller: Caller | None = getattr(request.state, "caller", None)
    if caller is not None and caller.role < wanted:
        raise Forbidden(caller.name, caller.role.name, wanted.name)
