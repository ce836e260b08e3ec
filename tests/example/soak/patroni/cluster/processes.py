"""Programs that run beside the tests, each with what it says in a file: never as root, gone with the test."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import psutil

from app.amends.postgres.embedded.programs import server_account
from tests.example.soak.patroni.cluster.programs import PLACES, find


class Program:
    """A command that is started, and started again, as an account that Postgres agrees with."""

    def __init__(
        self, folder: Path, name: str, command: Sequence[str], environment: Mapping[str, str], within: Sequence[str]
    ) -> None:
        self.log = folder / f"{name}.log"
        self._command = [*within, *_as_account(), *command]
        self._environment = {"PATH": PLACES, "LC_ALL": "C.UTF-8", "TZ": "UTC"} | dict(environment)
        self._folder = folder
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self._folder,
                env=self._environment,
                start_new_session=True,
            )

    def running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait(30)

    def said(self) -> str:
        return self.log.read_text(errors="replace") if self.log.exists() else ""


def those_in(folder: Path) -> list[psutil.Process]:
    """The processes that work in a folder: a Postgres with all its backends."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            if process.cwd() == str(folder) and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found


def give(path: Path) -> None:
    """Let the programs' account own a file or a folder."""
    if owner := server_account():
        os.chown(path, owner.pw_uid, owner.pw_gid)


def _as_account() -> Sequence[str]:
    if (owner := server_account()) is None:
        return ()
    return (str(find("setpriv")), f"--reuid={owner.pw_uid}", f"--regid={owner.pw_gid}", "--clear-groups", "--")
