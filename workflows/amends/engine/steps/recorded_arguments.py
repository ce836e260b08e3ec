"""Whether the arguments of a call are those that are recorded, also where their types have grown since then.

Only a digest of arguments is on record. The call at hand is written as the code of then would have written it, in each
shape that its arguments are known to have had: fields and parameters that the shape does not have are left out, and a
field with an alias has the name that it had. What was left out must be what today's types put in its place: the text is
read back by them, and must give the very arguments of the call. So nothing else than a digest says what was recorded,
and nothing else than today's types what that means.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from inspect import Parameter
from itertools import islice, product
from typing import Any, Final

from pydantic_core import PydanticSerializationError, ValidationError

from workflows.amends.definition import DeclaredStep
from workflows.amends.engine.steps.argument_shapes import ArgumentShapes
from workflows.amends.redaction.shapes import Part, Shape
from workflows.amends.step import StepCall
from workflows.amends.values.codec import digest, dump, load, type_adapter
from workflows.amends.values.memoised import memoised

MOST_FORMS: Final = 256
"""How many ways to write one call are tried; unions of similar classes make several."""
FIELDS: Final = ("dataclass-field", "model-field", "typed-dict-field")

_aliases: dict[Any, Mapping[str, Sequence[str]]] = {}


async def are_recorded(saga_type: str, call: StepCall[Any], recorded: str, shapes: ArgumentShapes) -> bool:
    """Whether a call of a saga has the arguments of which `recorded` is the digest; `shapes` are asked if need be."""
    if call.digest == recorded:
        return True
    return mean_the_same(call.given, call.declared, recorded, await shapes(saga_type, call.step.name))


def mean_the_same(given: Any, declared: DeclaredStep, recorded: str, shapes: Iterable[Shape]) -> bool:
    """Whether arguments that were recorded in one of these shapes, by this digest, are the `given` ones."""
    aliases = aliases_of(declared.arguments_type)
    return any(
        digest(form) == recorded and _means(form, given, declared)
        for shape in shapes
        for form in islice(earlier_forms(given, shape, aliases), MOST_FORMS)
    )


def earlier_forms(data: Any, shape: Shape, aliases: Mapping[str, Sequence[str]]) -> Iterator[Any]:
    """Plain data as it may have been written in another shape of its type."""
    return _forms(data, [Part(shape, shape)], aliases)


def _forms(data: Any, known: Iterable[Part], aliases: Mapping[str, Sequence[str]]) -> Iterator[Any]:
    """Each way once; a value of which nothing is known is what it is."""
    seen = set[str]()
    for form in _all_forms(data, [each for part in known for each in part.alternatives()], aliases):
        if (written := digest(form)) not in seen:
            seen.add(written)
            yield form


def _all_forms(data: Any, known: Sequence[Part], aliases: Mapping[str, Sequence[str]]) -> Iterator[Any]:
    certain = [part for part in known if not part.is_any_value]
    if isinstance(data, dict):
        for part in certain:
            if "object" in part.container_kind:
                yield from _objects(data, part, aliases)
    elif isinstance(data, list):
        for part in certain:
            if "array" in part.container_kind:
                open_to_others = any(True for _ in part.items())
                yield from _lists(data if open_to_others else data[: len(part.tuple_items)], part, aliases)
    yield data


def _objects(data: dict[str, Any], part: Part, aliases: Mapping[str, Sequence[str]]) -> Iterator[Any]:
    fields, open_to_others = set(part.field_names), any(True for _ in part.other_keys())
    written: dict[str, Iterator[Any]] = {}
    for name, value in data.items():
        before = next((each for each in (name, *aliases.get(name, ())) if each in fields and each not in written), None)
        if before is None and not open_to_others:
            continue
        known = list(part.field(before if before is not None else name))
        written[before if before is not None else name] = islice(_forms(value, known, aliases), MOST_FORMS)
    for values in product(*written.values()):
        yield dict(zip(written, values, strict=True))


def _lists(data: list[Any], part: Part, aliases: Mapping[str, Sequence[str]]) -> Iterator[Any]:
    items = [islice(_forms(item, list(part.item(number)), aliases), MOST_FORMS) for number, item in enumerate(data)]
    yield from map(list, product(*items))


def _means(form: Any, given: Any, declared: DeclaredStep) -> bool:
    """Whether arguments in another form are, by today's types, the given ones."""
    left_out = given[len(form) :]
    defaults = [declared.signature.parameters[name].default for name in declared.parameters[len(form) :]]
    try:
        for default, value, annotation in zip(defaults, left_out, declared.types[len(form) :], strict=True):
            if default is Parameter.empty or dump(default, annotation) != value:
                return False
        read = load([*form, *left_out], declared.arguments_type)
        return bool(dump(read, declared.arguments_type) == given)
    except (ValidationError, PydanticSerializationError):
        return False


def aliases_of(annotation: Any) -> Mapping[str, Sequence[str]]:
    """The names under which fields of an annotation, and of what it is made of, are read too."""
    return memoised(_aliases, annotation, lambda each: _found(type_adapter(each).core_schema))


def _found(schema: Any) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    seen, waiting = set[int](), [("", schema)]
    while waiting:
        name, each = waiting.pop()
        if id(each) in seen:
            continue
        seen.add(id(each))
        if isinstance(each, list | tuple):
            waiting += [("", item) for item in each]
        elif isinstance(each, Mapping):
            if each.get("type") in FIELDS:
                names = _names(each.get("validation_alias"))
                found.setdefault(each.get("name", name), []).extend(names)
            waiting += [(key if isinstance(key, str) else "", value) for key, value in each.items()]
    return {name: names for name, names in found.items() if names}


def _names(alias: Any) -> list[str]:
    """The names that an alias of pydantic's stands for: one, or several of which each is a way of one part."""
    if isinstance(alias, str):
        return [alias]
    ways = [way for way in alias or () if isinstance(way, list)] or ([alias] if alias else [])
    return [way[0] for way in ways if len(way) == 1 and isinstance(way[0], str)]
