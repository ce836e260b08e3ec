"""The sagas of a service in the OpenAPI document: starting each one, and sending each signal, with a typed body.

The routes are `/workflows/{name}` and `/workflows/{id}/signals/{signal}`; the document names each path that they take.
"""

from __future__ import annotations

import inspect
import logging
import sys
from collections.abc import Sequence
from copy import deepcopy
from typing import Any, Final

from app.amends.schema.example import ExampleValue
from domain.amends.errors import Invalid
from domain.amends.sender import fill_in_sender, sender_fields
from workflows.amends.saga import Saga
from workflows.amends.values.codec import json_schema, load_input
from workflows.amends.values.printable import error_message

log = logging.getLogger("amends.http")

START: Final = "/workflows/{name}"
SIGNAL: Final = "/workflows/{id}/signals/{signal}"
TRIES: Final = 100
"""How often a value that a class refuses is replaced by another one."""


def describe_sagas(document: dict[str, Any], sagas: Sequence[Saga[Any, Any]]) -> None:
    """Add an operation for each saga and for each signal, a tag for each saga, and the schemas of what they take."""
    paths, schemas = document["paths"], document["components"]["schemas"]
    newest = {each.definition.name: each for each in sorted(sagas, key=lambda each: each.definition.version)}
    document["tags"] = [{"name": name, "description": _about(saga)} for name, saga in sorted(newest.items())]
    for name, saga in sorted(newest.items()):
        made = paths[f"/workflows/{name}"] = {"post": _without(paths[START]["post"], "name")}
        made["post"] |= {"operationId": f"start_{name}", "summary": f"Start {name}", "tags": [name]}
        made["post"]["description"] = f"{_about(saga)}\n\n{paths[START]['post']['description']}"
        content = {"schema": _component(schemas, saga.definition.input, name)}
        _set_body(made["post"], content, [saga.definition.input])
    for signal in sorted({signal for saga in sagas for signal in saga.definition.signals}):
        takes = [each for each in sagas if signal in each.definition.signals]
        made = paths[SIGNAL.format(id="{id}", signal=signal)] = {"post": _without(paths[SIGNAL]["post"], "signal")}
        tags = sorted({each.definition.name for each in takes})
        made["post"] |= {"operationId": f"signal_{signal}", "summary": f"Send {signal}", "tags": tags}
        payloads = list(dict.fromkeys(each.definition.signals[signal] for each in takes))
        found = [_component(schemas, payload, f"{tags[0]}.{signal}.{n}") for n, payload in enumerate(payloads, 1)]
        _set_body(made["post"], {"schema": found[0] if len(found) == 1 else {"anyOf": found}}, payloads)


def example_of(annotation: Any) -> Any:
    """A body that a route takes for a value of this type, as its schema gives one; None if none was found.

    A field that says who sends it is left out: it is filled in.
    """
    schema = json_schema(annotation)
    if given := schema.get("examples"):
        return given[0]
    example = ExampleValue(schema)
    for _ in range(TRIES):
        try:
            value = example.value()
            load_input(fill_in_sender(value, annotation, "ann", known=False), annotation)
        except Invalid as wrong:
            if not example.change_at(wrong.field):
                return None
        except Exception as error:  # a schema may say what no value is made of
            log.debug("No example of %s is made: %s", annotation, error_message(error))
            return None
        else:
            left_out = sender_fields(annotation)
            return {key: each for key, each in value.items() if key not in left_out} if left_out else value
    return None


def _about(saga: Saga[Any, Any]) -> str:
    """What a saga does: the first paragraph of its docstring, else of its module's."""
    cls = type(saga)
    own = vars(cls).get("__doc__") or ""
    written = own if not own.startswith(f"{cls.__name__}(") else ""  # else it is the one that a dataclass is given
    return inspect.cleandoc(written or sys.modules[cls.__module__].__doc__ or cls.__name__).split("\n\n")[0]


def _without(operation: dict[str, Any], parameter: str) -> dict[str, Any]:
    """The same operation with one parameter of its path less."""
    made = deepcopy(operation)
    made["parameters"] = [each for each in made.get("parameters", ()) if each["name"] != parameter]
    return made


def _set_body(operation: dict[str, Any], content: dict[str, Any], types: Sequence[Any]) -> None:
    example = next((found for each in types if (found := example_of(each)) is not None), None)
    operation["requestBody"] = {
        "required": True,
        "content": {"application/json": content | ({} if example is None else {"example": example})},
    }


def _component(schemas: dict[str, Any], annotation: Any, of: str) -> dict[str, Any]:
    """The schema of a type; what has a name in it becomes a component, by another name where that one is taken."""
    root = json_schema(annotation)
    for name in sender_fields(annotation):
        root["properties"][name]["description"] = "Filled in with who sends it."
        root["required"] = [each for each in root.get("required", ()) if each != name]
    definitions = root.pop("$defs", {})
    if "title" in root and "properties" in root:
        definitions[root["title"]] = root
        root = {"$ref": f"#/$defs/{root['title']}"}
    for prefix in ("", f"{of}."):
        moved = {prefix + name: _moved(each, prefix) for name, each in definitions.items()}
        if all(schemas.get(name, each) == each for name, each in moved.items()):
            schemas |= moved
            break
    found: dict[str, Any] = _moved(root, prefix)
    return found


def _moved(schema: Any, prefix: str) -> Any:
    """A schema that refers to components."""
    if isinstance(schema, list):
        return [_moved(each, prefix) for each in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        key: f"#/components/schemas/{prefix}{value.removeprefix('#/$defs/')}"
        if isinstance(value, str) and value.startswith("#/$defs/")
        else _moved(value, prefix)
        for key, value in schema.items()
    }
