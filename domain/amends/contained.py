"""Runs a function of a team's that is no task of its own: what would end the process is an error like any other."""

from __future__ import annotations

from collections.abc import Callable
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")


class NonExceptionRaised(Exception):
    """Code that decides or folds raised what is no Exception, such as SystemExit: a bug of that code."""


def call_contained(function: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
    """Call it. Raises what it raises, and NonExceptionRaised for what nobody would catch."""
    try:
        return function(*args, **kwargs)
    except Exception:
        raise
    except BaseException as error:
        raise NonExceptionRaised(
            f"{type(error).__name__} left {getattr(function, '__name__', 'a function')}"
        ) from error
