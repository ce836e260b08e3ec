"""How a command is typed here: a checkout and a project have a `run`, and an installed package has `amends` alone."""

from __future__ import annotations

import os
import re
from typing import Final

WITH_RUN: Final = "./run amends"
RUN: Final = re.compile(r"\./run (?:amends )?(?=(?:dbos|db-url|demo|doctor|up|upgrade)\b|(?<=amends )\w)")
"""The commands of `run` that `amends` has too."""


def program() -> str:
    """What is typed to run a command here; the `run` of a checkout or of a project says so."""
    return os.environ.get("_AMENDS_PROGRAM") or "amends"


def as_typed(text: str) -> str:
    """A text of ours with its commands as they are typed here: `amends up` where there is no `./run up`."""
    typed = program()
    return text if typed == WITH_RUN else RUN.sub(lambda _: f"{typed} ", text)
