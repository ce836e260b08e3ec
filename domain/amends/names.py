"""The form of the names that are stored: of events, aggregates, sagas, signals and refusals."""

from __future__ import annotations

import re
from typing import Final

NAME: Final = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
"""Lower-case words joined by hyphens, such as `order-placed`."""
