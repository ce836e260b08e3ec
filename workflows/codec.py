"""Values to JSON and back, by their annotations: what is stored is readable anywhere and never runs as code."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any, Final, Literal, NamedTuple, TypeVar

from pydantic import PydanticSchemaGenerationError, PydanticUserError, TypeAdapter, ValidationError
from pydantic_core import PydanticCustomError, PydanticSerializationError, SchemaValidator, from_json, to_json

from domain.errors import Invalid, Misdeclared, TooLarge, Unstorable
from workflows.instants import strictly_dated
from workflows.limits import exceeds
from workflows.said import said

T = TypeVar("T")

#: What pydantic would accept, but what does not come back from JSON as it went in, or not in the same order.
_LOSSY = {
    "any": "has no type that says what it holds",
    "bytes": "holds bytes; use str",
    "callable": "is a function",
    "set": "has no order; use tuple[…, ...]",
    "frozenset": "has no order; use tuple[…, ...]",
    "generator": "can be read only once; use tuple[…, ...]",
    "is-instance": "is a class without declared fields; use a dataclass",
    "is-subclass": "is a class",
}


SHOWN: Final = 100
"""How many wrong fields of a value are told."""

_adapters: dict[Any, TypeAdapter[Any]] = {}
_readers: dict[Any, SchemaValidator] = {}


def adapter(annotation: Any) -> TypeAdapter[Any]:
    """The reader and writer of one annotation, built once."""
    made = _adapters.get(annotation)
    if made is None:
        made = _adapters[annotation] = TypeAdapter(annotation)
    return made


def _reader(annotation: Any) -> SchemaValidator:
    """The reader of values from outside, built once."""
    made = _readers.get(annotation)
    if made is None:
        made = _readers[annotation] = SchemaValidator(
            strictly_dated(adapter(annotation).core_schema), _use_prebuilt=False
        )
    return made


def require_json(annotation: Any, what: str) -> None:
    """Refuse an annotation whose values do not survive JSON. Raises Misdeclared, saying what `what` is."""
    try:
        schema = adapter(annotation).core_schema
    except (PydanticSchemaGenerationError, PydanticUserError) as error:
        raise Misdeclared(what, f"does not survive JSON: {str(error).splitlines()[0]}") from error
    if problem := _lossy(schema):
        raise Misdeclared(what, f"does not survive JSON: it {problem}")


def _lossy(schema: Any) -> str | None:
    if isinstance(schema, Mapping):
        if (kind := schema.get("type")) in _LOSSY and isinstance(kind, str):
            return _LOSSY[kind]
        return next((found for key, part in schema.items() if key != "metadata" and (found := _lossy(part))), None)
    if isinstance(schema, list | tuple):
        return next((found for part in schema if (found := _lossy(part))), None)
    return None


def dump(value: object, annotation: Any) -> Any:
    """The value as plain JSON data: dict, list, str, int, float, bool, None.

    Raises PydanticSerializationError, and nothing else, if it is not what the annotation says.
    """
    try:
        return adapter(annotation).serializer.to_python(value, mode="json", warnings="error")
    except PydanticSerializationError:
        raise
    except BaseException as error:
        raise PydanticSerializationError(f"a serializer of its own failed: {said(error)}") from error


def load(data: Any, annotation: type[T]) -> T:
    """The value back from plain JSON data that `dump` made. Raises ValidationError, and nothing else."""
    try:
        loaded: T = adapter(annotation).validate_python(data)
    except ValidationError:
        raise
    except BaseException as error:
        raise _failed(annotation, error) from error
    return loaded


def _failed(annotation: Any, error: BaseException) -> ValidationError:
    """A validator of a team's own failed in another way than by saying that a value is wrong."""
    problem = PydanticCustomError(
        "validator_failed", "a validator of its own failed: {problem}", {"problem": said(error)}
    )
    return ValidationError.from_exception_data(str(annotation), [{"type": problem, "loc": (), "input": None}])


class Kept(NamedTuple):
    """A value as plain JSON data, how many bytes it takes as text, and the value that comes back of it.

    None of the three shares anything with another one, nor with the value that was given.
    """

    data: Any
    size: int
    value: Any


def kept(value: object, annotation: Any, what: str, limit: int) -> Kept:
    """The value as plain data that can be stored, and that comes back: what every later reader gets is loaded of it.

    Raises TooLarge and Unstorable, saying what `what` is.
    """
    try:
        if exceeds(value, limit):
            raise TooLarge(what, limit)
        written = storable(dump(value, annotation), what, limit)
        value = load(plain(written), annotation)
    except (TooLarge, Unstorable):
        raise
    except ValidationError as error:
        raise Unstorable(f"{what} does not come back as it was: {problems(error)[0]}") from error
    except BaseException as error:
        raise Unstorable(f"{what} is not what its annotation says: {' '.join(said(error).split())}") from error
    return Kept(plain(written), len(written), value)


def read(data: Any, annotation: type[T]) -> T:
    """A value from outside: strict types, no unknown fields. Raises Invalid with the path of the first wrong field."""
    try:
        loaded: T = _reader(annotation).validate_json(to_json(data), strict=True, extra="forbid")
    except ValidationError as error:
        raise problems(error)[0] from error
    except BaseException as error:
        failed = _failed(annotation, error)
        raise problems(failed)[0] from failed
    return loaded


def problems(error: ValidationError) -> list[Invalid]:
    """The wrong fields of a value from outside, by their paths: the first 100 of them."""
    try:
        return [_problem(found) for found in _first(error)]
    except BaseException as wrong:
        return [Invalid("value", f"is refused by a validator whose own error cannot be read: {type(wrong).__name__}")]


def _first(error: ValidationError) -> Iterator[Any]:
    """The first errors of many: a body of a megabyte may hold half a million, and each would be an object of its own.

    pydantic gives all of them or none; as text that takes a tenth of the time, and only the first are read of it.
    """
    if error.error_count() <= SHOWN:
        yield from error.errors(include_url=False, include_input=False)
        return
    written = error.json(include_url=False, include_input=False, include_context=False)
    decoder, place = json.JSONDecoder(), 1
    for _ in range(SHOWN):
        found, place = decoder.raw_decode(written, place)
        yield found
        place += 1


def _problem(found: Any) -> Invalid:
    path, cause = [str(part) for part in found["loc"]], found.get("ctx", {}).get("error")
    if isinstance(cause, Invalid):
        return Invalid(".".join([*path, cause.field]), cause.problem)
    return Invalid(".".join(path) or "body", found["msg"].removeprefix("Value error, "))


def json_schema(annotation: Any, mode: Literal["validation", "serialization"] = "validation") -> dict[str, Any]:
    """The JSON Schema of an annotation's values: as they are taken, or as they are written."""
    return adapter(annotation).json_schema(mode=mode)


def text(data: Any) -> str:
    """Plain JSON data as compact text."""
    return to_json(data).decode()


def plain(text: str | bytes) -> Any:
    """Plain JSON data from text, however deep it is: what could be written can be read."""
    try:
        return from_json(text)
    except ValueError:
        return json.loads(text)


def fresh(data: Any, annotation: type[T]) -> T:
    """The same of data that is kept: the value shares nothing with it. Raises ValidationError, and nothing else."""
    return load(copied(data), annotation)


def copied(data: Any) -> Any:
    """Plain data that shares nothing with this."""
    return plain(to_json(data))


def require_storable(data: Any, what: str, limit: int | None = None) -> int:
    """How many bytes plain data takes as text. Raises Unstorable and TooLarge as `storable` does."""
    return len(storable(data, what, limit))


def storable(data: Any, what: str, limit: int | None = None) -> bytes:
    """Plain data as text, as it will be stored.

    Raises Unstorable for what JSON or Postgres does not take, TooLarge for more than `limit` bytes.

    Not taken are halves of characters, the character U+0000, numbers that JSON has no word for, and numbers of more
    digits than Python reads.
    """
    try:
        written = to_json(data)
    except PydanticSerializationError as error:
        raise Unstorable(f"{what}: {error}") from error
    if limit is not None and len(written) > limit:
        raise TooLarge(what, limit)
    if b"\\u0000" in written and _any_text(data, "\0"):
        raise Unstorable(f"{what} contains the character U+0000")
    if (b"NaN" in written or b"Infinity" in written) and not _is_finite(data):
        raise Unstorable(f"{what} contains a number that JSON has no word for: NaN or infinity")
    if len(written) > MOST_DIGITS and not _is_legible(data):
        raise Unstorable(f"{what} contains a number of more than {MOST_DIGITS} digits")
    return written


MOST_DIGITS = 4300
"""Python refuses to read longer numbers (sys.int_info.default_max_str_digits)."""


def _is_legible(data: Any) -> bool:
    """Whether no number in plain data has too many digits to be read."""
    parts = [data]
    while parts:
        part = parts.pop()
        if isinstance(part, dict):
            parts += part.values()
        elif isinstance(part, list):
            parts += part
        elif isinstance(part, int) and part.bit_length() > 14_280 and abs(part) >= 10**MOST_DIGITS:
            return False
    return True


def _any_text(data: Any, part: str) -> bool:
    """Whether some text in plain data contains this."""
    if isinstance(data, dict):
        return any(_any_text(name, part) or _any_text(inner, part) for name, inner in data.items())
    return any(_any_text(inner, part) for inner in data) if isinstance(data, list) else part in str(data)


def _is_finite(data: Any) -> bool:
    try:
        json.dumps(data, allow_nan=False)
    except ValueError:
        return False
    return True


def digest(data: Any) -> str:
    """A short fingerprint of plain JSON data; the order of keys does not matter."""
    return hashlib.sha256(to_json(_sorted(data))).hexdigest()[:32]


def _sorted(data: Any) -> Any:
    if isinstance(data, dict):
        return {key: _sorted(data[key]) for key in sorted(data)}
    if isinstance(data, list) and any(isinstance(item, dict | list) for item in data):
        return [_sorted(item) for item in data]
    return data
