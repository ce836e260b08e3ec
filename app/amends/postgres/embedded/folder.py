"""A folder whose files are reached by its descriptor: no link leads elsewhere, whoever may write to it.

Root that gives a part of it to another account must not follow links that this account leaves there.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Literal

from domain.amends.errors import StartupError

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
_MODES = {"r": os.O_RDONLY, "w": os.O_WRONLY | os.O_CREAT, "a": os.O_RDWR | os.O_CREAT | os.O_APPEND}
_LINK = (errno.ELOOP, errno.ENOTDIR, errno.EMLINK)
_MOST = 1 << 20
"""The most bytes of a file that are read; the files are shorter."""


class SafeFolder:
    """An open folder; close it, or use it in a `with`. Raises OSError, and StartupError for a link."""

    def __init__(self, path: Path, at: int | None = None) -> None:
        self.path = path
        try:
            self._fd = os.open(path if at is None else path.name, _FOLDER, dir_fd=at)
        except OSError as error:
            raise _strange(path) if error.errno in _LINK else error from None

    def __enter__(self) -> SafeFolder:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._fd)

    def subfolder(self, name: str) -> SafeFolder:
        """A folder in this one."""
        return SafeFolder(self.path / name, self._fd)

    def make_private(self, group: int | None, names: tuple[str, ...], folders: tuple[str, ...]) -> None:
        """Make the folder and these files in it this user's alone, though of a group that may walk through it.

        An earlier owner may have left links in it: they are looked for once it can leave no more.
        """
        if os.fstat(self._fd).st_uid != os.geteuid() or group is not None:
            os.fchown(self._fd, os.geteuid(), -1 if group is None else group)
        os.fchmod(self._fd, 0o700 if group is None else 0o710)
        for name in folders:
            with contextlib.suppress(FileNotFoundError), self.subfolder(name):
                pass
        for name in names:
            with contextlib.suppress(FileNotFoundError), self.open(name, "r") as file:
                self._own(file.fileno())

    def open(self, name: str, mode: Literal["r", "w", "a"]) -> IO[bytes]:
        """A plain file; one that is written is made, for this user alone."""
        try:
            fd = os.open(name, _FILE | _MODES[mode], 0o600, dir_fd=self._fd)
        except OSError as error:
            raise _strange(self.path / name) if error.errno in (*_LINK, errno.ENXIO) else error from None
        found = os.fstat(fd)
        if not stat.S_ISREG(found.st_mode) or found.st_nlink > 1:
            os.close(fd)
            raise _strange(self.path / name)
        if mode == "w":
            os.ftruncate(fd, 0)
        return os.fdopen(fd, f"{mode}b")

    def read(self, name: str, last: int = _MOST) -> bytes:
        """The last bytes of a file; all of it, if there are no more."""
        with self.open(name, "r") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - last))
            return file.read(last)

    def write(self, name: str, content: str) -> None:
        """Put this into a file, whatever was in it."""
        with self.open(name, "w") as file:
            file.write(content.encode())

    def exists(self, name: str) -> bool:
        """Whether there is anything of this name, a link included."""
        with contextlib.suppress(FileNotFoundError):
            return bool(os.lstat(name, dir_fd=self._fd))
        return False

    def make_empty_folder(self, name: str) -> None:
        """An empty folder, in place of one that is there."""
        if self.exists(name):
            shutil.rmtree(name, dir_fd=self._fd)
        os.mkdir(name, 0o700, dir_fd=self._fd)

    def change_owner(self, name: str, user: int, group: int) -> None:
        """Let a file or folder be another account's; a link itself, not what it leads to."""
        os.chown(name, user, group, dir_fd=self._fd, follow_symlinks=False)

    def rename(self, name: str, to: str) -> None:
        os.rename(name, to, src_dir_fd=self._fd, dst_dir_fd=self._fd)

    def remove(self, name: str) -> None:
        """Remove a file, or a link, if it is there."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name, dir_fd=self._fd)

    @contextlib.contextmanager
    def locked(self, name: str) -> Iterator[None]:
        """Hold the lock of a file."""
        with self.open(name, "a") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def _own(self, fd: int) -> None:
        if os.fstat(fd).st_uid != os.geteuid():
            os.fchown(fd, os.geteuid(), -1)
        os.fchmod(fd, 0o600)


def _strange(path: Path) -> StartupError:
    return StartupError(
        f"{path} is a link, or not what it should be: the embedded Postgres follows no links below its data folder.",
        "Remove it, or set AMENDS_DATA_DIR to the folder that it leads to.",
    )
