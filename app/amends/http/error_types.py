"""Errors of the HTTP API itself; problems.py says which status each of them gets."""

from __future__ import annotations

from domain.amends.errors import AmendsError


class Busy(AmendsError):
    """This server is shutting down and starts nothing new: ask again, another one answers."""


class Behind(AmendsError):
    """{projection} has not got to {position} in time. Nothing is lost: ask again."""

    projection: str
    position: str


class Unauthorised(AmendsError):
    """{problem}"""

    problem: str


class Forbidden(AmendsError):
    """{name} is a {role} here, and this takes a {needed}: AMENDS_API_TOKENS says what each may do."""

    name: str
    role: str
    needed: str


class Unconditional(AmendsError):
    """Send If-Match with the version that you have seen, the ETag of the stream: nothing newer is changed unseen."""


class Malformed(AmendsError):
    """The body is not JSON: {problem}"""

    problem: str


class TooManyFollowers(AmendsError):
    """{most} clients follow the feed here already, as many as AMENDS_FOLLOWERS allows: ask again, or another server."""

    most: int
