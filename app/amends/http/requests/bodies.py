"""The bodies of requests: JSON that can be stored."""

from __future__ import annotations

from typing import Any, TypeVar

from fastapi import Request
from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic_core import from_json

from app.amends.http.error_types import Malformed
from app.amends.http.requests.headers import actor_of, has_known_actor
from domain.amends.errors import DefinitionError, Invalid
from domain.amends.sender import SENDER, fill_in_sender
from workflows.amends.values.codec import SHOWN, load_input

T = TypeVar("T")

ANY_BODY = {"requestBody": {"required": True, "content": {"application/json": {"schema": {"type": "object"}}}}}
"""For OpenAPI: the schema of the body depends on more than the path, and the route declares it."""


class Body(BaseModel):
    """The body of a request that FastAPI validates: strict types, no unknown fields.

    A body with more fields than any has here is refused as a whole: FastAPI would make an error of each.
    """

    model_config = ConfigDict(extra="forbid", strict=True)

    @classmethod
    def __pydantic_init_subclass__(cls, **_: Any) -> None:
        """Refuse a mark that would do nothing: FastAPI reads the body before anything knows who sent it."""
        for name, field in cls.model_fields.items():
            if SENDER in field.metadata:
                problem = "is not filled in, in the body of a route: ask cause_of(request).actor who sent it"
                raise DefinitionError(f"{cls.__name__}, field {name!r}", problem)

    @model_validator(mode="before")
    @classmethod
    def _of_few_fields(cls, sent: object) -> object:
        if isinstance(sent, dict) and len(sent) > SHOWN:
            raise ValueError(f"has {len(sent)} fields; there are: {', '.join(cls.model_fields)}")
        return sent


class Reason(Body):
    """The reason that an operator gives for a decision; it stays on record."""

    reason: str = Field(min_length=1, max_length=2000)


async def request_body(request: Request, annotation: type[T]) -> T:
    """The body as a value of a type, with the fields filled in that name the sender.

    Raises Malformed, or Invalid with the paths of the wrong fields.
    """
    given = fill_in_sender(await json_body(request), annotation, actor_of(request), has_known_actor(request))
    return load_input(given, annotation)


async def json_body(request: Request) -> Any:
    """The body as plain JSON data. Raises Malformed, or Invalid for text that Postgres cannot store."""
    body = await request.body()
    try:
        data = from_json(body, allow_inf_nan=False)
    except ValueError as error:
        raise Malformed(str(error)) from error
    if b"\\u0000" in body and "\x00" in all_text(data):
        raise Invalid("body", "contains the character U+0000, which cannot be stored")
    return data


def all_text(data: Any) -> str:
    """All text in plain JSON data, joined."""
    if isinstance(data, str):
        return data
    if isinstance(data, dict):
        return "".join(all_text(part) for pair in data.items() for part in pair)
    return "".join(map(all_text, data)) if isinstance(data, list) else ""
