"""The exit status of a command that fails: 1, unless the command has another meaning for that."""

from __future__ import annotations

from contextvars import ContextVar
from typing import Final

NOT_MADE: Final = 2
"""A check that could not be made; 1 says that it found something. Wrong options have 2 too."""

failure_status: ContextVar[int] = ContextVar("failure_status", default=1)
"""The status with which this process ends if its command raises."""
