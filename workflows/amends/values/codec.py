"""Values to JSON and back, by their annotations: what is stored is readable anywhere and never runs as code."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, Final, Literal, NamedTuple, TypeVar, cast

from pydantic import PydanticSchemaGenerationError, PydanticUserError, TypeAdapter, ValidationError
from pydantic.json_schema import GenerateJsonSchema
from pydantic_core import PydanticCustomError, PydanticSerializationError, SchemaValidator, from_json, to_json

from domain.amends.errors import DefinitionError, Invalid, TooLarge, Unstorable
from workflows.amends.values.amounts import require_amounts
from workflows.amends.values.instants import with_strict_times
from workflows.amends.values.jsonb_comparison import as_jsonb, difference, is_as_in_jsonb, is_identical
from workflows.amends.values.limits import exceeds
from workflows.amends.values.lossless import is_strict, keeps_order, lossy_reason
from workflows.amends.values.memoised import memoised
from workflows.amends.values.printable import error_message, misfit, undeclared
from workflows.amends.values.storable import MOST_DIGITS, is_finite, storable_json

T = TypeVar("T")

SHOWN: Final = 100
"""How many wrong fields of a value are told."""

_adapters: dict[Any, TypeAdapter[Any]] = {}
_readers: dict[Any, SchemaValidator] = {}
_ordered: dict[Any, bool] = {}
_strict: dict[Any, bool] = {}
_losses: dict[Any, str | None] = {}


def type_adapter(annotation: Any) -> TypeAdapter[Any]:
    """The reader and writer of one annotation, built once."""
    return memoised(_adapters, annotation, TypeAdapter)


def _reader(annotation: Any) -> SchemaValidator:
    """The reader of values from outside, built once."""
    return memoised(_readers, annotation, _new_reader)


def _new_reader(annotation: Any) -> SchemaValidator:
    return SchemaValidator(with_strict_times(type_adapter(annotation).core_schema), _use_prebuilt=False)


def require_json(annotation: Any, what: str) -> None:
    """Refuse an annotation whose values do not survive JSON. Raises DefinitionError, saying what `what` is."""
    try:
        problem = memoised(_losses, annotation, lambda each: lossy_reason(type_adapter(each).core_schema))
    except (PydanticSchemaGenerationError, PydanticUserError) as error:
        raise DefinitionError(what, f"does not survive JSON: {undeclared(error)}") from error
    if problem:
        raise DefinitionError(what, f"does not survive JSON: {problem}")


def dump(value: object, annotation: Any) -> Any:
    """The value as plain JSON data: dict, list, str, int, float, bool, None.

    Raises PydanticSerializationError, and nothing else, if it is not what the annotation says.
    """
    try:
        return type_adapter(annotation).serializer.to_python(value, mode="json", by_alias=False, warnings="error")
    except PydanticSerializationError:
        raise
    except BaseException as error:
        raise PydanticSerializationError(f"a serializer of its own failed: {error_message(error)}") from error


def load(data: Any, annotation: type[T]) -> T:
    """The value back from plain JSON data that `dump` made: by the names of fields, whatever aliases they have.

    Raises ValidationError, and nothing else.
    """
    try:
        if memoised(_strict, annotation, _is_strict):  # a text is a date in JSON, and none in Python
            strictly: T = type_adapter(annotation).validate_json(to_json(data), by_alias=True, by_name=True)
            return strictly
        loaded: T = type_adapter(annotation).validate_python(data, by_alias=True, by_name=True)
    except ValidationError:
        raise
    except BaseException as error:
        raise _failed(annotation, error) from error
    return loaded


def _failed(annotation: Any, error: BaseException) -> ValidationError:
    """A validator of a team's own failed in another way than by saying that a value is wrong."""
    problem = PydanticCustomError(
        "validator_failed", "a validator of its own failed: {problem}", {"problem": error_message(error)}
    )
    return ValidationError.from_exception_data(str(annotation), [{"type": problem, "loc": (), "input": None}])


class StoredValue(NamedTuple):
    """A value as plain JSON data, how many bytes it takes as text, and the value that comes back of it.

    None of the three shares anything with another one, nor with the value that was given.
    """

    data: Any
    size: int
    value: Any


def stored_value(value: object, annotation: Any, what: str, limit: int) -> StoredValue:
    """The value as plain data that can be stored, and that comes back: what every later reader gets is loaded of it.

    Raises TooLarge and Unstorable, saying what `what` is; also for a value that would come back as another one.
    """
    try:
        if exceeds(value, limit):
            raise TooLarge(what, limit)
        written = _settled(storable_json(dump(value, annotation), what, limit), annotation)
        require_amounts(value, written, what)
        back = load(parse_json(written), annotation)
    except (TooLarge, Unstorable):
        raise
    except ValidationError as error:
        raise Unstorable(f"{what} does not come back as it was: {wrong_fields(error)[0]}") from error
    except BaseException as error:
        raise Unstorable(f"{what} is not what its annotation says: {misfit(error)}") from error
    if other := difference(value, back):
        raise Unstorable(f"{what} does not come back as it was: {other}")
    return StoredValue(parse_json(written), len(written), back)


def round_trip(value: T, annotation: Any, what: str, limit: int) -> T:
    """The value as `kept` gives it back, quickly where nothing about it is odd. Raises TooLarge and Unstorable."""
    if _is_ordered(annotation):
        with suppress(Exception):  # then it is looked at closely, and said what is wrong with it
            written = type_adapter(annotation).serializer.to_json(value, by_alias=False, warnings="error")
            if len(written) <= MOST_DIGITS and b"\\u0000" not in written and is_as_in_jsonb(written):
                require_amounts(value, written, what)
                back: T = load_exact_text(written, annotation)
                if difference(value, back) is None:
                    return back
    return cast(T, stored_value(value, annotation, what, limit).value)


def exact_text(value: object, annotation: Any, what: str, limit: int) -> str:
    """The value as JSON text of which `load_exact_text` makes the same value, with the same types and order.

    What jsonb would change is a text within the text. Raises TooLarge and Unstorable, saying what `what` is.
    """
    if exceeds(value, limit):
        raise TooLarge(what, limit)
    try:
        written = storable_json(dump(value, annotation), what, limit)
        require_amounts(value, written, what)
        changes = written[:1] == b'"' or _settled(written, annotation) != written
        written = to_json(written.decode()) if changes else written
        back = load_exact_text(written, annotation)
    except (PydanticSerializationError, ValidationError) as error:
        raise Unstorable(f"{what} does not come back as it was: {' '.join(error_message(error).split())}") from error
    if not is_identical(value, back):
        raise Unstorable(f"{what} does not come back as it was")
    return written.decode()


def load_exact_text(written: str | bytes, annotation: Any) -> Any:
    """The value back from the text that `exact_text` made. Raises ValidationError."""
    inner = from_json(written) if written[:1] in ('"', b'"') else written
    return type_adapter(annotation).validate_json(inner, by_alias=True, by_name=True)


def _settled(written: bytes, annotation: Any) -> bytes:
    """The text of a value as it is once the database has had it, so that memory shows the same from the beginning."""
    if _is_ordered(annotation) and is_as_in_jsonb(written):
        return written
    return to_json(as_jsonb(parse_json(written)))


def _is_ordered(annotation: Any) -> bool:
    return memoised(_ordered, annotation, _keeps_order)


def _keeps_order(annotation: Any) -> bool:
    return keeps_order(type_adapter(annotation).core_schema)


def _is_strict(annotation: Any) -> bool:
    return is_strict(type_adapter(annotation).core_schema)


def load_input(data: Any, annotation: type[T]) -> T:
    """A value from outside: strict types, no unknown fields. Raises Invalid with the path of the first wrong field."""
    try:
        written = to_json(data)
        if not is_finite(written, data):
            raise Invalid("body", "contains a number that is too large, or none")
        loaded: T = _reader(annotation).validate_json(written, strict=True, extra="forbid")
    except Invalid:
        raise
    except ValidationError as error:
        raise wrong_fields(error)[0] from error
    except BaseException as error:
        failed = _failed(annotation, error)
        raise wrong_fields(failed)[0] from failed
    return loaded


def require_exact(data: Any, annotation: Any) -> None:
    """Refuse what an operator gives as a stored value, if digits of it would be lost. Raises ValidationError."""
    try:
        _reader(annotation).validate_json(to_json(data), by_alias=True, by_name=True)
    except ValidationError:
        raise
    except BaseException as error:
        raise _failed(annotation, error) from error


def wrong_fields(error: ValidationError) -> list[Invalid]:
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
    return type_adapter(annotation).json_schema(mode=mode, schema_generator=_Schemas)


class _Schemas(GenerateJsonSchema):
    def decimal_schema(self, schema: Any) -> dict[str, Any]:
        """A number is a Decimal only without a point: see `exact_decimal`."""
        made = super().decimal_schema(schema)
        for each in made.get("anyOf", ()):
            if each.get("type") == "number":
                each["type"] = "integer"
        return made


def json_text(data: Any) -> str:
    """Plain JSON data as compact text."""
    return to_json(data).decode()


def parse_json(text: str | bytes) -> Any:
    """Plain JSON data from text, however deep it is: what could be written can be read."""
    try:
        return from_json(text)
    except ValueError:
        return json.loads(text)


def load_copy(data: Any, annotation: type[T]) -> T:
    """The same of data that is kept: the value shares nothing with it. Raises ValidationError, and nothing else."""
    return load(parse_json(_settled(to_json(data), annotation)), annotation)


def copy_json(data: Any) -> Any:
    """Plain data that shares nothing with this."""
    return parse_json(to_json(data))


def digest(data: Any) -> str:
    """A short fingerprint of plain JSON data, the same for what comes back of it; the order of keys does not matter."""
    written = to_json(_sorted(data))
    return hashlib.sha256(written if is_as_in_jsonb(written) else to_json(_sorted(as_jsonb(data)))).hexdigest()[:32]


def _sorted(data: Any) -> Any:
    if isinstance(data, dict):
        return {key: _sorted(data[key]) for key in sorted(data)}
    if isinstance(data, list) and any(isinstance(item, dict | list) for item in data):
        return [_sorted(item) for item in data]
    return data
