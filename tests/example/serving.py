"""Serves the example with more sagas beside its own, as the whole program of a test's server."""

from __future__ import annotations

import argparse
from dataclasses import replace
from typing import Any

from app.amends.server.serve import serve
from app.amends.service import Host, Parts
from app.amends.settings import read_settings
from app.main import service
from app.settings import ShopSettings
from workflows.amends.saga import Saga


def serve_with(*sagas: Saga[Any, Any]) -> None:
    """Serve at the `--port` and `--host` that the command line gives, until a signal."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--host", default="127.0.0.1")
    given = parser.parse_args()

    def build(host: Host[ShopSettings]) -> Parts:
        parts = service.build(host)
        return replace(parts, sagas=[*parts.sagas, *sagas])

    serve(replace(service, build=build), read_settings(service.settings, service.root), given.host, given.port)
