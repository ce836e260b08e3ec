"""Checks of this machine and of the project: Python, packages, settings, the composition, and the port."""

from __future__ import annotations

import socket
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import Any, Final

import httpx
from packaging.requirements import Requirement

import app.amends
from app.amends.doctor.findings import Finding
from app.amends.security.loopback import base_url

OLDEST: Final = (3, 11)
CHECKOUT: Final = Path(app.amends.__path__[0]).parents[1] / "pyproject.toml"
"""What a checkout needs; of an installed package its metadata say it."""
ANSWER_SECONDS: Final = 2.0
INSTALL: Final = "install them again: rm -rf .venv and ./run up in a checkout, else uv sync or pip install amends"


def machine_findings(host: str, port: int) -> Iterator[Finding]:
    """What is found here, without the project and its database."""
    yield _python()
    yield _packages()
    yield _port(host, port)


def _python() -> Finding:
    here = f"{sys.version.split()[0]}, {sys.executable}"
    needs = ".".join(map(str, OLDEST))
    return Finding("python", sys.version_info >= OLDEST, here, f"run it with Python {needs} or newer")


def _packages() -> Finding:
    needed = [each for each in map(Requirement, _requirements()) if each.marker is None or each.marker.evaluate()]
    wrong = [f"{found} {each.name}, {each.specifier} is needed" for each in needed if (found := _unfit(each))]
    text = "; ".join(wrong) or f"all {len(needed)} are within their bounds"
    return Finding("packages", not wrong, text, INSTALL)


def _unfit(needed: Requirement) -> str | None:
    """The version that is installed, if it is out of bounds; `no` for none."""
    try:
        found = version(needed.name)
    except PackageNotFoundError:
        return "no"
    return None if needed.specifier.contains(found, prereleases=True) else found


def _requirements() -> list[str]:
    try:
        return [each for each in requires("amends") or () if "extra ==" not in each]
    except PackageNotFoundError:
        read: dict[str, Any] = tomllib.loads(CHECKOUT.read_text())
        return list(read["project"]["dependencies"])


def _port(host: str, port: int) -> Finding:
    """Whether the port is free, or a server of Amends is there."""
    where = base_url(host, port)
    try:
        with socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET):
            return Finding("port", True, f"{port} of {host} is free")
    except OSError as error:
        taken = str(error.strerror)
    try:
        answer = httpx.get(f"{where}/healthz", timeout=ANSWER_SECONDS, trust_env=False).json()
        executor = answer.get("executor") if isinstance(answer, dict) else None
    except (httpx.HTTPError, ValueError):
        executor = None
    if executor is not None:
        return Finding("port", True, f"a server of Amends is at {where}: executor {executor}")
    another = f"./run up --port {port + 1 if port < 65535 else port - 1} takes another one"
    return Finding("port", False, f"{port} of {host} cannot be used: {taken}", another, failure=False)
