"""The programs of the embedded Postgres, and the account that they run as: Postgres refuses root."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import subprocess
from pathlib import Path

from domain.amends.errors import StartupError

ACCOUNTS = ("postgres", "nobody")
COPIES = Path("/var/lib/amends")


def account() -> pwd.struct_passwd | None:
    """Whom the server runs as: ourselves, unless we are root, which Postgres refuses."""
    if os.geteuid() != 0:
        return None
    for name in ACCOUNTS:
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name)
    raise StartupError(
        "Postgres does not run as root, and there is no account 'postgres' or 'nobody' to run it as.",
        "Create one, run as an ordinary user, or set DATABASE_URL.",
    )


def program(programs: Path, name: str) -> str:
    """The path of a program, copied to where the server's account can reach it if it cannot be reached."""
    if account() is None or reachable(programs):
        return str(programs / name)
    copy = COPIES / f"postgres-{_fingerprint(programs)}"
    if not copy.exists():
        install = programs.parent
        fresh = copy.with_name(f"{copy.name}.{os.getpid()}")
        shutil.copytree(install, fresh / install.parent.name / install.name, symlinks=True)
        libraries = install.parent.with_name(f"{install.parent.name}.libs")
        if libraries.is_dir():
            shutil.copytree(libraries, fresh / libraries.name, symlinks=True)
        with contextlib.suppress(OSError):
            fresh.rename(copy)
        shutil.rmtree(fresh, ignore_errors=True)
    return str(copy / programs.parent.parent.name / programs.parent.name / "bin" / name)


def version(programs: Path) -> int:
    """The major version of the server."""
    said = subprocess.run([program(programs, "postgres"), "--version"], capture_output=True, text=True, check=True)
    return int(said.stdout.split()[2].split(".")[0])


def reachable(path: Path) -> bool:
    """Whether any account may walk to this folder."""
    return all(part.stat().st_mode & 0o001 for part in (path, *path.parents))


def _fingerprint(programs: Path) -> str:
    binary = (programs / "postgres").stat()
    return f"{binary.st_size:x}-{int(binary.st_mtime):x}"
