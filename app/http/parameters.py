"""The parameters of requests: what a route does not know is refused, so that a misspelt filter is not no filter."""

from __future__ import annotations

from fastapi import Request
from fastapi.routing import APIRoute

from domain.errors import Invalid

ANY_COLUMN = {
    "parameters": [
        {
            "name": "columns",
            "in": "query",
            "description": "Columns, and the values that they must have.",
            "style": "form",
            "explode": True,
            "schema": {"type": "object", "additionalProperties": {"type": "string"}},
        }
    ]
}
"""For OpenAPI, and for `only_known`: what else may be given depends on the read model, which says so itself."""


async def only_known(request: Request) -> None:
    """Raises Invalid for a query parameter that the route does not know."""
    route = request.scope.get("route")
    if not isinstance(route, APIRoute) or route.openapi_extra is ANY_COLUMN:
        return
    known = [parameter.alias for parameter in route.dependant.query_params]
    for name in request.query_params:
        if name not in known:
            raise Invalid(name, f"is no parameter here; there are: {', '.join(known) or 'none'}")
