"""Plays the main job: an order that succeeds, one that is undone, one whose server is killed on the way."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from rich.console import Console
from rich.markup import escape

from app.amends.cli.timeline.entries import timeline_entries, timeline_lines
from app.amends.output.terminal import print_line
from workflows.amends.values.printable import escaped

PATIENCE = 60.0
ORDER = {
    "customer_id": "c-1",
    "currency": "EUR",
    "lines": [{"sku": "apple", "quantity": 3, "unit_price": 250}],
    "payment_token": "tok_ok",
    "postcode": "10115",
}


class Failed(Exception):
    """The demo did not go as it should."""


def demo() -> None:
    """Play the main job in front of you: an order that succeeds, one that is undone, one that survives a kill."""
    raise SystemExit(play())


def play() -> int:
    """Play it; 0 only if every order ended as it should."""
    console = Console(highlight=False)
    try:
        with _server(console, signal.SIGKILL) as base:
            _scene(console, base, "An order that can be fulfilled.", {}, "completed")
            _scene(console, base, "An order whose card is declined.", {"payment_token": "tok_declined"}, "compensated")
            order = _place(base, {"lines": [{"sku": "SLOW-boat", "quantity": 1, "unit_price": 900}]})
            _until(base, order, lambda saga: len(saga["steps"]) == 1, "its order is open and its stock is being held")
            console.print("\n[bold]An order whose server is killed while it waits for the stock.[/bold]")
        with _server(console, signal.SIGTERM) as base:
            _end(console, base, order, "completed")
    except Failed as failure:
        console.print(escape(escaped(str(failure))), style="red")
        return 1
    console.print("\nAll three ended as they should.")
    return 0


@contextmanager
def _server(console: Console, end: signal.Signals) -> Iterator[str]:
    """A server of its own, ended by this signal; SIGKILL leaves it no chance to say goodbye."""
    console.print("[dim]Starting a server …[/dim]")
    process = subprocess.Popen(
        [sys.executable, "-m", "amends", "up", "--port", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        cwd=Path(__file__).parents[1],
    )
    assert process.stdout is not None
    try:
        said = process.stdout.readline()
        if "Amends is up: " not in said:
            raise Failed("The server did not start. ./run up says why.")
        yield said.split("Amends is up: ")[1].strip()
    finally:
        os.kill(process.pid, end)
        process.wait()
        process.stdout.close()
        console.print(f"[dim]Server {process.pid} was ended with {end.name}.[/dim]")


def _scene(console: Console, base: str, title: str, changes: dict[str, Any], status: str) -> None:
    console.print(f"\n[bold]{title}[/bold]")
    _end(console, base, _place(base, changes), status)


def _place(base: str, changes: dict[str, Any]) -> str:
    order = f"demo-{uuid.uuid4().hex[:8]}"
    body = ORDER | changes | {"order_id": order}
    answer = _ask("POST", f"{base}/workflows/place-order", json=body, headers={"Idempotency-Key": order})
    if answer.status_code != 202:
        raise Failed(f"The order was not taken: {answer.text}")
    return order


def _end(console: Console, base: str, order: str, status: str) -> None:
    """Wait for an order's end and print its timeline."""
    saga = _until(base, order, lambda saga: saga["status"] not in ("running", "compensating", "queued"), "it rests")
    events = _ask("GET", f"{base}/workflows/{order}/events", params={"limit": 1000}).json()["events"]
    for line in timeline_lines(timeline_entries(events)):
        print_line(f"  {line}")
    why = f": {saga['reason']}" if saga["reason"] else ""
    print_line(f"  → {saga['status']}{why}")
    if saga["status"] != status:
        raise Failed(f"{order} should be {status}.")


def _ask(method: str, url: str, **more: Any) -> httpx.Response:
    """Ask the server, which runs on this machine: no proxy from the environment is between."""
    return httpx.request(method, url, timeout=30, trust_env=False, **more)


def _until(base: str, order: str, met: Callable[[dict[str, Any]], bool], what: str) -> dict[str, Any]:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        saga: dict[str, Any] = _ask("GET", f"{base}/workflows/{order}", params={"wait": 1}).json()
        if met(saga):
            return saga
    raise Failed(f"{order}: not within {PATIENCE:g} s: {what}")
