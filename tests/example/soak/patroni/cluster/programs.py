"""The programs of a cluster that is made for the soak tests, and the Debian packages that they come from."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

NEEDED = {"patroni": "patroni", "etcd": "etcd-server", "haproxy": "haproxy"}
"""What is looked for, and the package that brings it."""
LAST_WITH_UNSAFE_ETCD3 = (3, 0, 2)
PLACES = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def find(name: str, places: str = PLACES) -> str | None:
    """The path of a program; those for administrators are not on everybody's path."""
    return shutil.which(name, path=places)


def postgres() -> Path | None:
    """The folder of the programs of the newest Postgres that Debian has installed."""
    found = Path("/usr/lib/postgresql").glob("*/bin/postgres")
    return max((path.parent for path in found), key=lambda path: int(path.parts[-2]), default=None)


def driver() -> str:
    """How Patroni talks to etcd. Until 3.0.2 that of etcd's version 3 writes the leader's key without a comparison: a
    primary that stood still takes it back from the one that took over, with all that this one has committed since."""
    said = subprocess.run([str(find("patroni")), "--version"], capture_output=True, text=True, check=True).stdout
    version = tuple(int(part) for part in said.split()[-1].split(".")[:3])
    return "ETCD3" if version > LAST_WITH_UNSAFE_ETCD3 else "ETCD"


def missing(places: str = PLACES) -> str | None:
    """One sentence that says what to install, None if everything is there."""
    packages = [package for name, package in NEEDED.items() if find(name, places) is None]
    packages += ["postgresql"] if postgres() is None else []
    if not packages:
        return None
    return f"A cluster of Patroni needs packages that are not installed: apt-get install {' '.join(packages)}."


def main() -> None:
    if said := missing():
        sys.exit(said)


if __name__ == "__main__":
    main()
