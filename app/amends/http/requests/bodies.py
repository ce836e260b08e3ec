"""The bodies of requests: JSON that can be stored."""

from __future__ import annotations

from typing import Any, TypeVar

from fastapi import Request
from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic_core import from_json

from app.amends.http.errors import Malformed
from domain.amends.errors import Invalid
from domain.amends.sender import signed
from workflows.amends.values.codec import SHOWN, read

T = TypeVar("T")

ANY_BODY = {"requestBody": {"required": True, "content": {"application/json": {"schema": {"type": "object"}}}}}
"""For OpenAPI: what exactly is wanted depends on more than the path."""


class Body(BaseModel):
    """The body of a request whose fields FastAPI looks at: strict types, no unknown fields.

    One with more fields than any body here has is refused as a whole: FastAPI would make an error of each.
    """

    model_config = ConfigDict(extra="forbid", strict=True)

    @model_validator(mode="before")
    @classmethod
    def _of_few_fields(cls, given: object) -> object:
        if isinstance(given, dict) and len(given) > SHOWN:
            raise ValueError(f"has {len(given)} fields; there are: {', '.join(cls.model_fields)}")
        return given


class Reason(Body):
    """Why a person decides so; it stays on record."""

    reason: str = Field(min_length=1, max_length=2000)


async def given(request: Request, annotation: type[T]) -> T:
    """The body as a value of a type. Raises Malformed, or Invalid with the paths of the wrong fields."""
    return read(await body_of(request), annotation)


async def sent_by(request: Request, annotation: type[T], actor: str, known: bool) -> T:
    """The same, with the fields filled in that say who sent it."""
    return read(signed(await body_of(request), annotation, actor, known), annotation)


async def body_of(request: Request) -> Any:
    """The body as plain JSON data. Raises Malformed, or Invalid for text that Postgres cannot store."""
    body = await request.body()
    try:
        data = from_json(body, allow_inf_nan=False)
    except ValueError as error:
        raise Malformed(str(error)) from error
    if b"\\u0000" in body and "\x00" in repr_text(data):
        raise Invalid("body", "contains the character U+0000, which cannot be stored")
    return data


def repr_text(data: Any) -> str:
    """All text in plain JSON data, joined."""
    if isinstance(data, str):
        return data
    if isinstance(data, dict):
        return "".join(repr_text(part) for pair in data.items() for part in pair)
    return "".join(map(repr_text, data)) if isinstance(data, list) else ""
