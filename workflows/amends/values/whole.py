"""Values that are read whole: what is recorded, and the code at hand does not know, is not read past."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final, TypeAlias, TypeVar

from pydantic import ValidationError
from pydantic_core import PydanticCustomError, PydanticSerializationError

from workflows.amends.values.codec import copy_json, digest, dump, load

T = TypeVar("T")

Way: TypeAlias = tuple[str | int, ...]
"""Names of fields and numbers of items that lead to a part of plain data."""

PROBE: Final = {"\x00": ["not a value of anybody's"]}
"""What stands in the place of a field to find out whether anything depends on it."""


def load_whole(data: Any, annotation: type[T]) -> T:
    """The value back from plain data, as `load` gives it; also raises ValidationError for a field that its type
    does not know: newer code has given it, and what it says would be lost.

    A field that is read under another name by now, by an alias or by a validator, is known.
    """
    value = load(data, annotation)
    try:
        kept = dump(value, annotation)
    except PydanticSerializationError:
        return value  # whatever compares it says so
    gone = list(_gone(data, kept, ()))
    if gone and (way := _unread(data, gone, kept, annotation)) is not None:
        problem = PydanticCustomError("unknown_field", "is recorded, but the code here does not know it")
        error: Any = {"type": problem, "loc": way, "input": None}
        raise ValidationError.from_exception_data(str(annotation), [error])
    return value


def _gone(data: Any, kept: Any, way: Way) -> Iterator[Way]:
    """The fields of plain data that what was read of it has no more."""
    if isinstance(data, dict) and isinstance(kept, dict):
        for name, value in data.items():
            if name in kept:
                yield from _gone(value, kept[name], (*way, name))
            else:
                yield (*way, name)
    elif isinstance(data, list) and isinstance(kept, list) and len(data) == len(kept):
        for number, (value, one) in enumerate(zip(data, kept, strict=True)):
            yield from _gone(value, one, (*way, number))


def _unread(data: Any, gone: Sequence[Way], kept: Any, annotation: Any) -> Way | None:
    """A field of these that nothing depends on; those of the items of a list are tried at once."""
    alike: dict[Way, list[Way]] = {}
    for way in gone:
        alike.setdefault(tuple("*" if isinstance(each, int) else each for each in way), []).append(way)
    return next((ways[0] for ways in alike.values() if _reads_the_same(data, ways, kept, annotation)), None)


def _reads_the_same(data: Any, ways: Sequence[Way], kept: Any, annotation: Any) -> bool:
    """Whether the same is read when other values stand in these places."""
    probed = copy_json(data)
    for *above, last in ways:
        at = probed
        for each in above:
            at = at[each]
        at[last] = PROBE
    try:
        return digest(dump(load(probed, annotation), annotation)) == digest(kept)
    except (ValidationError, PydanticSerializationError):
        return False
