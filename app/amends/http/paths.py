"""The path of a request below whatever the API is mounted at."""

from __future__ import annotations

from starlette.types import Scope


def mount_path(scope: Scope) -> str:
    """The path at which the API is mounted in another application, `/amends` for instance; empty if it is not."""
    return str(scope.get("root_path", "")).rstrip("/")


def route_path(scope: Scope) -> str:
    """The path that a route of the API sees: that of the request without the path at which the API is mounted."""
    path, mounted = str(scope["path"]), mount_path(scope)
    return path.removeprefix(mounted) if path.startswith(mounted + "/") else path
