"""How values are shown by what is known of their shapes: without what is marked, and without what nobody knows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from domain.amends.sensitive import MASK
from workflows.amends.redaction.marking import UNKNOWN
from workflows.amends.redaction.shapes import ALTERNATIVES, EACH, Part, Path, marks_of


class MaskCount:
    """What was masked while something was shown: `marked` values, and those that are `unknown` here."""

    def __init__(self) -> None:
        self.marked = self.unknown = False


def _mask(data: Any, form: Visibility) -> Any:
    return MASK


class Visibility:
    """What is known of a value by all that know it, and how it may be shown; those of its parts are made when needed.

    `known` are shapes that it may have, `marking` all those whose marks cover it, `lifted` the ways to marks that count
    no more.
    """

    def __init__(
        self, known: Sequence[Part], marking: Sequence[Part], lifted: frozenset[Path] = frozenset(), path: Path = ()
    ) -> None:
        self._known = [each for part in known for each in part.alternatives()]
        self._groups = [list(part.alternatives()) for part in marking]
        self._marking = [each for group in self._groups for each in group]
        self._lifted, self._path = lifted, path
        self._named = {name for part in (*self._known, *self._marking) for name in part.field_names}
        self._places = max((len(part.tuple_items) for part in (*self._known, *self._marking)), default=0)
        self._parts: dict[str, Visibility] = {}
        self._marks_within: bool | None = None
        marks = [
            part.sensitivity
            for part in self._marking
            if part.sensitivity != UNKNOWN and (part.lasting or path not in lifted)
        ]
        self.marked = any(marks)
        """Whether it is personal or secret, of whichever shape it is."""
        clear = [part for part in known if all(each.sensitivity != UNKNOWN for each in part.alternatives())]
        self.unknown = not clear and not (known and path in lifted)
        """Whether nobody knows of it."""
        said = [part for part in self._known if not any(word in part.schema for word in (*ALTERNATIVES, "$ref"))]
        self._free = any(part.is_any_value for part in said)
        self._kinds = {kind for part in said for kind in part.json_types or ("string",)}
        self._open = (
            self._free
            and not self.unknown
            and all(part.is_any_value or "$ref" in part.schema for part in self._marking)
        )

    def masked(self, data: Any, look: MaskCount, mask: Callable[[Any, Visibility], Any] = _mask) -> Any:
        """The data as it may be shown: nothing that is marked, and nothing that nobody knows.

        `mask` gives what stands in place of such a part.
        """
        if (data is None and not self.unknown) or (self._open and not self.marked):
            return data
        if self.marked or self._was_container(data):
            look.marked = True
        elif self.unknown or not self._fits(data):
            look.unknown = True
            if self.unknown and not self._path and isinstance(data, dict):
                return {name: mask(value, self.field(name)) for name, value in data.items()}
        elif isinstance(data, dict):
            return {name: self.field(name).masked(value, look, mask) for name, value in data.items()}
        elif isinstance(data, list):
            return [self.item(number).masked(value, look, mask) for number, value in enumerate(data)]
        else:
            return data
        return mask(data, self)

    def names_field(self, name: str) -> bool:
        """Whether a shape has a field of this name, so that the name is no value."""
        return name in self._named

    def choices(self) -> list[Any]:
        """The values of which the value is one, if its shapes name them."""
        named = [part.schema.get("enum") or [part.schema["const"]] for part in self._known if _names_values(part)]
        return [value for values in named for value in values]

    def _fits(self, data: Any) -> bool:
        """Whether the data may be of one of the shapes, as far as that matters: nothing is hidden in what fits."""
        if self._free:
            return True
        if isinstance(data, dict):
            return "object" in self._kinds
        return "array" in self._kinds if isinstance(data, list) else bool(self._kinds - {"object", "array", "null"})

    def field(self, name: str) -> Visibility:
        """What is known of the value of a field."""
        step = name if name in self._named else EACH
        if step not in self._parts:
            self._parts[step] = self._part(
                [each for part in self._known for each in part.field(name)],
                list(self._marking_field(name)),
                step,
            )
        return self._parts[step]

    def item(self, number: int) -> Visibility:
        """What is known of an item."""
        step = str(number) if number < self._places else EACH
        if f"[{step}" not in self._parts:
            self._parts[f"[{step}"] = self._part(
                [each for part in self._known for each in part.item(number)],
                list(self._marking_item(number)),
                step,
            )
        return self._parts[f"[{step}"]

    def _marking_field(self, name: str) -> Iterator[Part]:
        """What marks a field; of a shape that has a list here, or one object for many, the marks in these count."""
        many = any(True for part in self._known for _ in part.other_keys())
        for group in self._groups:
            moved = not any("object" in part.container_kind for part in group)
            for part in group:
                found = list(part.as_field(name) if moved else part.field(name))
                yield from found or ([part] if many and part.field_names else [])

    def _marking_item(self, number: int) -> Iterator[Part]:
        """What marks an item; of a shape that has an object here, its own marks count."""
        for group in self._groups:
            moved = not any("array" in part.container_kind for part in group)
            for part in group:
                yield from part.as_item() if moved else part.item(number)

    def _was_container(self, data: Any) -> bool:
        """Whether the data stands where another shape has only objects or lists, with marks in them."""
        if isinstance(data, dict | list) or data is None:
            return False
        if self._marks_within is None:
            held = [group for group in self._groups if not any("scalar" in part.container_kind for part in group)]
            self._marks_within = any(self._marks(held))
        return self._marks_within

    def marks(self) -> Iterator[str]:
        """How it and its parts are marked, of whichever shape."""
        yield from self._marks(self._groups)

    def _marks(self, groups: Sequence[Sequence[Part]]) -> Iterator[str]:
        for group in groups:
            for way, mark in marks_of(group[0], (), ()):
                if mark != UNKNOWN and (group[0].lasting or (*self._path, *way) not in self._lifted):
                    yield mark

    def at_path_step(self, step: str) -> Visibility:
        """What is known of the part behind one step of a JSON Pointer."""
        in_list = step.isdecimal() and step not in self._named and "array" in self._kinds
        return self.item(int(step)) if in_list else self.field(step)

    def _part(self, known: Sequence[Part], marking: Sequence[Part], step: str) -> Visibility:
        return Visibility(known, marking, self._lifted, (*self._path, step))

    def hidden(self, data: Any) -> Iterator[Any]:
        """The marked values themselves."""
        if self.marked or self._was_container(data):
            yield data
        elif isinstance(data, dict):
            for name, value in data.items():
                yield from self.field(name).hidden(value)
        elif isinstance(data, list):
            for number, value in enumerate(data):
                yield from self.item(number).hidden(value)


def _names_values(part: Part) -> bool:
    return "enum" in part.schema or "const" in part.schema
