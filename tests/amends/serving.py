"""Serves sagas of tests without the example; `python -m tests.amends.serving` serves the one that buys."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

from app.amends.server.serve import serve
from app.amends.service import Parts, Service, ServiceContext
from app.amends.settings import Settings, read_settings
from tests.amends.business.buying import Buy, TableLedger
from tests.amends.harness import ROOT
from workflows.amends.saga import Saga


def serve_sagas(*sagas: Saga[Any, Any]) -> None:
    """Serve sagas that need nothing of anybody."""
    serve_service(Service(root=ROOT, build=lambda host: Parts(sagas=sagas), settings=Settings))


def serve_service(service: Service[Any], arguments: Sequence[str] | None = None) -> None:
    """Serve a service at the `--port` and `--host` that the command line gives, until a signal."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--host", default="127.0.0.1")
    given = parser.parse_args(arguments)
    serve(service, read_settings(service.settings, service.root), given.host, given.port)


def build(host: ServiceContext[Settings]) -> Parts:
    return Parts(sagas=[Buy(TableLedger(host.pool))])


if __name__ == "__main__":
    serve_service(Service(root=ROOT, build=build, settings=Settings))
