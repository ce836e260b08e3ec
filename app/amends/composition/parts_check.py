"""Refuses parts of a service that are missing, of another kind, or given twice, each with a sentence and its fix."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from dataclasses import fields, is_dataclass
from typing import Any, Protocol, get_args, get_origin, get_type_hints

from fastapi import APIRouter

from app.amends.composition.route_check import require_sound_routes
from app.amends.schema.catalogue import declared_sagas
from app.amends.service import Parts
from domain.amends.errors import StartupError
from workflows.amends.saga import Saga

log = logging.getLogger("amends")


def require_sound_parts(parts: object) -> Parts:
    """The parts that `build` has returned. Raises StartupError, naming the first that cannot work, and the fix."""
    if not isinstance(parts, Parts):
        raise StartupError(
            f"build of app/main.py returned {described(parts)}, not Parts.", "End it with: return Parts(sagas=[…])."
        )
    for name in ("sagas", "routers", "resources", "private", "notes"):
        _require_list(name, getattr(parts, name))
    for note in parts.notes:
        _require_text(note)
    for saga in parts.sagas:
        _require_saga(saga)
    _require_distinct_sagas(parts.sagas)
    for router in parts.routers:
        _require_router(router)
    for resource in parts.resources:
        _require_resource(resource)
    _require_distinct("resources", parts.resources)
    require_sound_routes(parts.routers, parts.private)
    return parts


def warn_of_unlisted_sagas(sagas: Sequence[Saga[Any, Any]], package: str = "workflows") -> None:
    """Log which sagas the project declares and does not list: some settings may leave one out, a mistake may too."""
    listed = {type(saga) for saga in sagas}
    for found in declared_sagas(package):
        if found not in listed:
            log.warning(
                "%s:%d of %s is not in sagas of Parts: nobody can start it here, and those under way wait for a server "
                "that lists it. Add it to sagas=[…] of app/main.py.",
                found.definition.name,
                found.definition.version,
                f"{found.__module__}.{found.__qualname__}",
            )


def described(value: object) -> str:
    """A value as a message names it: by its class, or as a class or function by its own name."""
    if value is None:
        return "None"
    if isinstance(value, type):
        return f"the class {value.__name__}"
    if inspect.isroutine(value):
        return f"the function {value.__name__}"
    return f"an object of {type(value).__name__}"


def _require_list(name: str, given: object) -> None:
    if isinstance(given, str) or not isinstance(given, Sequence):
        raise StartupError(
            f"{name} of Parts is {described(given)}, not a list.", f"Write it in brackets: {name}=[…], also for one."
        )


def _require_text(note: object) -> None:
    if not isinstance(note, str):
        raise StartupError(f"notes of Parts has {described(note)}, which is no text.", "List lines of text there.")


def _require_distinct(name: str, given: Sequence[object]) -> None:
    for number, each in enumerate(given):
        if any(each is other for other in given[:number]):
            raise StartupError(f"{name} of Parts has {described(each)} twice.", "Remove one of the two.")


def _require_saga(saga: Any) -> None:
    if isinstance(saga, type) and issubclass(saga, Saga):
        raise StartupError(
            f"sagas of Parts has the class {saga.__name__}, not an object of it.",
            f"Make one, with its gateways: {saga.__name__}({', '.join(each.name for each in _ports(saga))}).",
        )
    if not isinstance(saga, Saga):
        raise StartupError(
            f"sagas of Parts has {described(saga)}, which is no saga.", "List objects of subclasses of Saga there."
        )
    if problem := next(_problems_of_ports(saga), None):
        raise StartupError(problem, f"Give {type(saga).__name__} its gateways in build of app/main.py.")


def _ports(saga: type[Any]) -> Sequence[Any]:
    return fields(saga) if is_dataclass(saga) else ()


def _problems_of_ports(saga: Saga[Any, Any]) -> Iterator[str]:
    """The fields of a saga that hold no implementation of their port."""
    try:
        hints = get_type_hints(type(saga))
    except NameError:  # a type that is imported for checkers alone
        hints = {}
    for field in _ports(type(saga)):
        name, value, port = f"{type(saga).__name__}.{field.name}", getattr(saga, field.name), hints.get(field.name)
        if value is None and port is not None and not _takes_none(port):
            yield f"{name} is None, and {_name(port)} is needed there."
        elif isinstance(value, type) and _is_port(port):
            yield f"{name} is the class {value.__name__}, not an object of it."
        elif _is_port(port) and (missing := [each for each in _methods(port) if not hasattr(value, each)]):
            yield f"{name} is {described(value)}, which has no {missing[0]} as {_name(port)} has."


def _takes_none(annotation: Any) -> bool:
    return annotation in (Any, object, None, type(None)) or any(map(_takes_none, get_args(annotation)))


def _is_port(annotation: Any) -> bool:
    """Whether a field is a port: a Protocol, with or without parameters."""
    return getattr(get_origin(annotation) or annotation, "_is_protocol", False)


def _name(annotation: Any) -> str:
    return str(getattr(annotation, "__name__", annotation))


def _methods(port: Any) -> Iterable[str]:
    own = [base for base in (get_origin(port) or port).__mro__ if base is not Protocol and _is_port(base)]
    found = (name for base in own for name, member in vars(base).items() if inspect.isfunction(member))
    return (name for name in found if not name.startswith("_"))


def _require_distinct_sagas(sagas: Sequence[Saga[Any, Any]]) -> None:
    """Each name and version is one saga's, and each child of a saga is there too."""
    known: dict[str, Saga[Any, Any]] = {}
    for saga in sagas:
        definition = saga.definition
        other = known.setdefault(definition.saga_type, saga)
        if other is saga and sum(each is saga for each in sagas) == 1:
            continue
        if type(other) is type(saga):
            raise StartupError(f"sagas of Parts has {type(saga).__name__} twice.", "Remove one of the two.")
        raise StartupError(
            f"{_place(other)} and {_place(saga)} are both {definition.name!r} version {definition.version}.",
            "Give the newer one another name, or version=2 if it replaces the other one.",
        )
    for saga in sagas:
        for child in saga.definition.children:
            if child.saga_type not in known:
                raise StartupError(
                    f"{type(saga).__name__} starts {child.saga_type}, and sagas of Parts has no such saga.",
                    f"Add the saga of {child.module} to sagas=[…] of app/main.py.",
                )


def _place(saga: Saga[Any, Any]) -> str:
    return f"{type(saga).__module__}.{type(saga).__qualname__}"


def _require_router(router: object) -> None:
    if isinstance(router, APIRouter):
        return
    remedy = "List objects of fastapi.APIRouter there."
    if isinstance(getattr(router, "router", None), APIRouter):
        remedy = "Give its router: add .router."
    elif callable(router):
        remedy = "Call it, with what it needs, and give the APIRouter that it makes."
    raise StartupError(f"routers of Parts has {described(router)}, which is no APIRouter.", remedy)


def _require_resource(resource: object) -> None:
    if isinstance(resource, AbstractAsyncContextManager) and not isinstance(resource, type):
        return
    remedy = "List objects there that `async with` takes, such as an httpx.AsyncClient."
    if inspect.isasyncgen(resource):
        remedy = "Put @asynccontextmanager above the function that makes it."
    elif isinstance(resource, AbstractContextManager) and not isinstance(resource, type):
        remedy = "It is opened by `with`: wrap it into a function with @asynccontextmanager."
    elif callable(resource):
        remedy = "Call it: what it makes is opened with the server."
    raise StartupError(f"resources of Parts has {described(resource)}, which is no async context manager.", remedy)
