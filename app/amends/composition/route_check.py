"""Refuses endpoints of a service that would never be reached, and private prefixes that cover none."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Sequence
from typing import Final

from fastapi import APIRouter
from fastapi.routing import iter_route_contexts

from domain.amends.errors import StartupError

OWN_PATHS: Final = frozenset(
    (
        "", "brakes", "docs", "events", "healthz", "messages", "metrics", "openapi.json", "projections", "providers",
        "readyz", "streams", "subscriptions", "ui", "views", "workflows",
    )
)  # fmt: skip
"""The first parts of the paths that Amends has, or keeps for itself; all others are a service's own."""

_PARAMETER: Final = re.compile(r"\{[^}]*\}")


def require_sound_routes(routers: Sequence[APIRouter], private: Sequence[str]) -> None:
    """Raise StartupError for a path of Amends' own, one that two endpoints have, and a private prefix of none."""
    known: dict[tuple[str, str], str] = {}
    endpoints = [each for router in routers for each in _endpoints(router)]
    for method, path, name in endpoints:
        if path.split("/")[1] in OWN_PATHS:
            raise StartupError(
                f"The endpoint {name} has the path {path}, and what begins like that is Amends' own.",
                "Give its router a prefix of your own, such as /books.",
            )
        place = method, _PARAMETER.sub("{}", path)
        if place in known:
            raise StartupError(
                f"{method} {path} is given twice, by {known[place]} and {name}.", "Remove one, or give it another path."
            )
        known[place] = name
    for prefix in private:
        if not isinstance(prefix, str) or not any(path.startswith(prefix) for _, path, _ in endpoints):
            raise StartupError(
                f"private of Parts has {prefix!r}, and no endpoint of routers has a path that begins like that.",
                "Correct it, or remove it: nothing is private by it.",
            )


def _endpoints(router: APIRouter) -> Iterator[tuple[str, str, str]]:
    """Method, path and function of every endpoint of a router, and of those within it."""
    for each in iter_route_contexts(router.routes):
        endpoint = getattr(each, "endpoint", None)  # what is mounted has none, and takes every method
        name = f"{endpoint.__module__}.{endpoint.__qualname__}" if inspect.isroutine(endpoint) else str(each.name)
        for method in sorted(getattr(each, "methods", None) or ["ANY"]):
            yield method, each.path_format or "/", name
