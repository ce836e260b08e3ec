"""The parameters of requests: an unknown one is refused, for a misspelt filter would be no filter."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import unquote

from fastapi import Request
from fastapi.routing import APIRoute
from pydantic import AwareDatetime, BeforeValidator

from domain.amends.errors import Invalid
from workflows.amends.values.instants import parse_instant


def _decoded(name: str) -> str:
    try:
        return unquote(name, errors="strict")
    except UnicodeDecodeError as error:
        raise ValueError("is not UTF-8 once it is decoded") from error


StreamName = Annotated[str, BeforeValidator(_decoded)]
"""A stream in a path, percent-encoded whatever its name holds; a slash is %2F."""

RowKey = StreamName
"""A key of a read model in a path, in the same way."""
AS_SENT = {"stream", "key"}

Instant = Annotated[AwareDatetime, BeforeValidator(parse_instant)]
"""A point in time as RFC 3339 writes it, with its offset from UTC."""

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
"""For OpenAPI, and for `require_known_parameters`: which other parameters there are depends on the read model, which
refuses the rest itself."""


async def require_known_parameters(request: Request) -> None:
    """Raise Invalid for a query parameter that the route does not know, and for text that nothing stored can hold."""
    path = {name: str(value) for name, value in request.path_params.items()}
    for name in AS_SENT & path.keys():
        path[name] = unquote(path[name])  # others are decoded
    for name, value in (*path.items(), *request.query_params.multi_items()):
        if "\0" in value or "\0" in name:
            raise Invalid(
                name.replace("\0", "\\0"), "contains the character U+0000, which is nowhere in what is stored"
            )
    route = request.scope.get("route")
    if not isinstance(route, APIRoute) or route.openapi_extra is ANY_COLUMN:
        return
    known = [parameter.alias for parameter in route.dependant.query_params]
    for name in request.query_params:
        if name not in known:
            raise Invalid(name, f"is no parameter here; there are: {', '.join(known) or 'none'}")
