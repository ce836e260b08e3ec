"""Marks for values about people and for secrets: Annotated[str, PERSONAL], Annotated[str, SECRET]."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, is_dataclass
from typing import Any, Final, get_args, get_type_hints

MASK: Final = "***"
"""What is shown in place of a marked value."""

KEYWORD: Final = "x-sensitive"
"""The keyword of JSON Schema that says how a value is marked."""


@dataclass(frozen=True)
class Sensitive:
    """Why a field is not shown in lists, errors and logs."""

    kind: str

    def __get_pydantic_json_schema__(self, core: Any, schema_of: Callable[[Any], dict[str, Any]]) -> dict[str, Any]:
        """The mark stands in the JSON Schema of the value too."""
        return schema_of(core) | {KEYWORD: self.kind}


PERSONAL: Final = Sensitive("personal")
SECRET: Final = Sensitive("secret")


def marks_within(annotation: Any, above: tuple[Any, ...] = ()) -> set[Sensitive]:
    """All marks on an annotation and on what it is made of: parts of unions and lists, fields of classes."""
    if annotation in above:
        return set()
    within, parts = (*above, annotation), [*parts_of(annotation), *fields_of(annotation).values()]
    found = {part for part in parts if isinstance(part, Sensitive)}
    return found.union(*(marks_within(part, within) for part in parts if not isinstance(part, Sensitive)))


def parts_of(annotation: Any) -> list[Any]:
    """What an annotation itself is made of: parts of unions and lists, and what Annotated says."""
    return [*get_args(annotation), *getattr(annotation, "__metadata__", ())]


def fields_of(annotation: Any) -> dict[str, Any]:
    """The annotations of the fields of a class, marks included; none for what is no class with fields."""
    names = _fields(annotation) if isinstance(annotation, type) else ()
    hints = get_type_hints(annotation, include_extras=True) if names else {}
    return {name: hints[name] for name in names if name in hints}


def _fields(cls: type) -> list[str]:
    """The fields of a dataclass, a model of pydantic's, a named tuple or a typed dict."""
    if is_dataclass(cls):
        return [field.name for field in fields(cls)]
    if issubclass(cls, tuple):
        return list(getattr(cls, "_fields", ()))
    typed = issubclass(cls, dict) and hasattr(cls, "__total__")
    return list(cls.__annotations__) if typed else list(getattr(cls, "model_fields", ()))
