"""A Postgres of our own for machines that have none: started when needed, stopped by its last user, never lost.

It survives kill -9 of anybody: users are counted by a file lock that the kernel releases, the server is recognised
by its own identifier and not by a pid, and what an interrupted start leaves behind is thrown away. As root it runs
under another account, whose way to the data is the working directory that it inherits: no folder is opened to others.
Of the folder only the data are that account's; passwords, log and locks are ours, and no link there is followed.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import signal
import struct
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import psutil
import psycopg

from app.amends.postgres.embedded.folder import SafeFolder
from app.amends.postgres.embedded.logins import (
    DATABASE,
    LOGINS,
    OWNER,
    SERVER,
    create_database,
    create_logins,
    database_in,
    lets_in,
)
from app.amends.postgres.embedded.ports import free_port
from app.amends.postgres.embedded.programs import (
    is_reachable,
    reachable_program,
    require_shell_safe,
    server_account,
    server_version,
)
from domain.amends.errors import StartupError

HERE = "/proc/self/cwd"
START_SECONDS = 60.0
STOP = {signal.SIGINT: 30.0, signal.SIGQUIT: 5.0, signal.SIGKILL: 5.0}
"""The signals by which a server is asked to stop, and how many seconds it is waited for after each."""
SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "200",
    "log_min_messages": "warning",
}
FILES = ("password", "database", *LOGINS, "port", "start.lock", "users.lock", "postgres.log")
FOLDERS = ("data", "data.new")


@dataclass
class EmbeddedPostgres:
    """One cluster below `root`, which is made if need be. `programs` is the folder of the server's programs.

    `database` is the name of the database in a cluster that is made; one that is there keeps its own.
    """

    root: Path
    programs: Path
    database: str = DATABASE
    _user: IO[bytes] | None = None
    _child: subprocess.Popen[bytes] | None = None

    @property
    def data(self) -> Path:
        return self.root / "data"

    @property
    def url(self) -> str:
        """The URL of the superuser, of the server that runs or ran last. It holds the password: not for logs."""
        return self._url("postgres", "password")

    @property
    def owner_url(self) -> str:
        """The URL of the owner of the tables, who migrates, and is no superuser."""
        return self._url(OWNER, OWNER)

    @property
    def service_url(self) -> str:
        """The URL of the login that serves, which has only the rights of the service's role."""
        return self._url(SERVER, SERVER)

    def start(self) -> str:
        """Make sure that the server runs, and return the superuser's URL. Raises StartupError in the server's words."""
        self._own_root()
        with SafeFolder(self.root) as folder, folder.locked("start.lock"):
            if not self.answers() and not self._recovers(folder):
                self._create(folder)
                self._launch(folder)
        return self.url

    def start_with_logins(self) -> None:
        """Make sure that the server runs and lets in who migrates and who serves, each with a password of its own."""
        self.start()
        with SafeFolder(self.root) as folder, folder.locked("start.lock"):
            if all(folder.exists(login) for login in LOGINS) and lets_in(self.owner_url) and lets_in(self.service_url):
                return
            create_database(self._url("postgres", "password", DATABASE), database_in(folder))
            known = {login: folder.read(login).decode() if folder.exists(login) else "" for login in LOGINS}
            passwords = {login: password or secrets.token_urlsafe(24) for login, password in known.items()}
            create_logins(self.url, passwords)
            for login, password in passwords.items():
                folder.write(login, password)

    def use(self) -> None:
        """Start the server and count as one of its users until `leave` or the end of this process."""
        self._own_root()
        with SafeFolder(self.root) as folder:
            self._user = folder.open("users.lock", "a")
        fcntl.flock(self._user, fcntl.LOCK_SH)
        self.start_with_logins()

    def release(self) -> None:
        """Stop the server if nobody else uses it."""
        if self._user is None:
            return
        self._user.close()
        self._user = None
        with (
            SafeFolder(self.root) as folder,
            folder.open("users.lock", "a") as users,
            contextlib.suppress(BlockingIOError),
        ):
            fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self.stop()

    def stop(self) -> None:
        """Stop the server: cleanly, ending its connections; if that takes too long, less and less so."""
        with SafeFolder(self.root) as folder, folder.locked("start.lock"):
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
            with SafeFolder(self.root) as folder, folder.subfolder("data") as data:
                pid = int(data.read("postmaster.pid").split()[0])
            process = psutil.Process(pid)
            return process if self._is_server(process) else None
        except (OSError, StartupError, ValueError, IndexError, psutil.NoSuchProcess):
            return None

    def answers(self) -> bool:
        """Whether this very cluster answers, whatever else may listen on its port."""
        try:
            with SafeFolder(self.root) as folder, folder.subfolder("data") as data, data.subfolder("global") as shared:
                identifier = struct.unpack("=Q", shared.read("pg_control")[:8])[0]
            with psycopg.connect(self._url("postgres", "password", DATABASE), connect_timeout=3) as connection:
                row = connection.execute("select system_identifier from pg_control_system()").fetchone()
        except (OSError, StartupError, psycopg.Error):
            return False
        return row is not None and row[0] % 2**64 == identifier

    def _own_root(self) -> None:
        try:
            self.root.parent.mkdir(parents=True, exist_ok=True)
            with contextlib.suppress(FileExistsError):
                self.root.mkdir(0o700)
            group = (owner := server_account()) and owner.pw_gid
            with SafeFolder(self.root) as folder:
                folder.make_private(group, ("start.lock",), ())
                with folder.locked("start.lock"):  # while somebody makes the cluster, its password is another account's
                    folder.make_private(group, FILES, FOLDERS)
        except OSError as error:
            raise StartupError(
                f"The embedded Postgres cannot use {self.root}: {error.strerror}.",
                "Set AMENDS_DATA_DIR to a folder that may be written, or set DATABASE_URL.",
            ) from error

    def _url(self, user: str, secret: str, database: str | None = None) -> str:
        with SafeFolder(self.root) as folder:
            password, port = folder.read(secret).decode().strip(), folder.read("port").decode()
            database = database or database_in(folder)
        return f"postgresql://{user}:{password}@127.0.0.1:{port}/{database}"

    def _path(self, folder: Path) -> str:
        """How the server's account reaches a folder: by its name, or, if others may not walk there, from within."""
        if server_account() is None or is_reachable(self.root.parent):
            return str(folder)
        if server_version(self.programs) >= 16:  # older ones leave the working directory and cannot come back
            return HERE
        raise StartupError(
            f"Postgres {server_version(self.programs)} may not run as root, and no other account may walk to {folder}.",
            "Set AMENDS_DATA_DIR to a folder below one that all may enter.",
        )

    def _run_as(self, folder: Path) -> dict[str, object]:
        """How to start one of the server's programs: as the right account, inside its data."""
        environment = {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"}
        options: dict[str, object] = {"cwd": folder, "env": environment, "stdin": subprocess.DEVNULL}
        if owner := server_account():
            options |= {"user": owner.pw_uid, "group": owner.pw_gid, "extra_groups": []}
        return options

    def _create(self, folder: SafeFolder) -> None:
        """Make the cluster: in a folder of its own first, so that an interrupted one is never taken for whole."""
        if folder.exists("data"):
            return
        require_shell_safe(initdb := reachable_program(self.programs, "initdb"))
        fresh, password = self.root / "data.new", self.root / "password"
        folder.make_empty_folder(fresh.name)
        folder.write(password.name, secrets.token_urlsafe(24))
        if owner := server_account():
            folder.change_owner(fresh.name, owner.pw_uid, owner.pw_gid)
            folder.change_owner(password.name, owner.pw_uid, owner.pw_gid)
        command = [
            initdb,
            "-D",
            self._path(fresh),
            "-U",
            "postgres",
            "--no-instructions",
        ]
        command += ["--pwfile=" + ("../password" if HERE in command else str(password))]
        command += ["--auth=scram-sha-256", "--encoding=UTF8", *self._locale()]
        made = subprocess.run(  # type: ignore[call-overload]
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=START_SECONDS * 2, **self._run_as(fresh)
        )
        if made.returncode:
            raise StartupError(
                f"The embedded Postgres could not be created:\n{made.stdout.decode()}", f"See {self.root}."
            )
        folder.change_owner(password.name, os.geteuid(), os.getegid())
        if self.database != DATABASE:
            folder.write("database", self.database)
        folder.rename(fresh.name, self.data.name)

    def _locale(self) -> list[str]:
        builtin = ["--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        return builtin if server_version(self.programs) >= 17 else ["--locale=C.UTF-8"]

    def _launch(self, folder: SafeFolder) -> None:
        if self._child:
            self._child.poll()
        port = str(free_port(folder))
        folder.write("port", port)
        options = SETTINGS | {"port": port}
        command = [reachable_program(self.programs, "postgres"), "-D", self._path(self.data)]
        command += [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
        with folder.open("postgres.log", "a") as output:
            server = self._child = subprocess.Popen(  # type: ignore[call-overload]
                command, stdout=output, stderr=output, start_new_session=True, **self._run_as(self.data)
            )
        deadline = time.monotonic() + START_SECONDS
        while not self.answers():
            if server.poll() is not None or time.monotonic() > deadline:
                tail = folder.read("postgres.log", last=1500).decode(errors="replace")
                raise StartupError(
                    f"The embedded Postgres did not start:\n{tail}", f"Its whole log is {self.root / 'postgres.log'}."
                )
            time.sleep(0.05)

    def _recovers(self, folder: SafeFolder) -> bool:
        """Wait for what an ended launcher or server left running: True if it answers in the end, False once it is gone.

        Its pid file is removed then: Postgres trusts any live process that has the number written in it.
        """
        deadline = time.monotonic() + START_SECONDS
        while left := self._left_over():
            if self.answers():
                return True
            if time.monotonic() > deadline:
                raise StartupError(
                    f"An earlier Postgres still works in {self.data} (pid {left[0].pid}) but does not answer.",
                    "End it, then start again.",
                )
            time.sleep(0.05)
        with contextlib.suppress(FileNotFoundError), folder.subfolder("data") as data:
            data.remove("postmaster.pid")
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
