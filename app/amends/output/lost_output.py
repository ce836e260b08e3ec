"""Standard output that cannot be written: a full disk is one sentence, and a reader who has seen enough is none."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any, cast

from domain.amends.errors import StartupError


class CheckedOutput:
    """A stream whose errors of writing are a StartupError, but for a pipe that its reader has closed."""

    def __init__(self, stream: IO[str]) -> None:
        self.inner = stream

    def write(self, text: str) -> int:
        with self._checked():
            return self.inner.write(text)

    def writelines(self, lines: list[str]) -> None:
        self.write("".join(lines))

    def flush(self) -> None:
        with self._checked():
            self.inner.flush()

    @contextmanager
    def _checked(self) -> Iterator[None]:
        try:
            yield
        except BrokenPipeError:
            _drop(self.inner)
            raise
        except OSError as error:
            _drop(self.inner)
            raise StartupError(
                f"The output cannot be written: {error.strerror}.", "See that there is room where it goes."
            ) from error

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)


def _drop(stream: IO[str]) -> None:
    """Let what is still to be written go nowhere: Python would try it once more at its end."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)


@contextmanager
def checked_output() -> Iterator[None]:
    """Within this standard output is checked, and at the end all of it is written. Raises StartupError."""
    if sys.stdout is None:  # it was closed before this process was started
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115 (open until the process ends)
    sys.stdout = cast("IO[str]", CheckedOutput(sys.stdout))
    try:
        yield
    finally:
        sys.stdout.flush()
