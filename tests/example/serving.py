"""Serves the example with more sagas beside its own, as the whole program of a test's server."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from app.amends.service import Parts, ServiceContext
from app.main import service
from app.settings import ShopSettings
from tests.amends.serving import serve_service
from workflows.amends.saga import Saga


def serve_with(*sagas: Saga[Any, Any]) -> None:
    """Serve at the `--port` and `--host` that the command line gives, until a signal."""

    def build(host: ServiceContext[ShopSettings]) -> Parts:
        parts = service.build(host)
        return replace(parts, sagas=[*parts.sagas, *sagas])

    serve_service(replace(service, build=build))
