"""The contents of values, as far as they can be seen without calling anything that they name."""

from __future__ import annotations

import contextvars
import copyreg
import decimal
import functools
import gc
import random
import struct
import threading
from logging import Logger
from types import MemberDescriptorType
from typing import Any, get_args, get_origin

from app.amends.store.code_fingerprint.imports import module_names, module_of

IDLE = (Logger, random.SystemRandom, type(threading.Lock()), type(threading.RLock()))
"""Types of values that no result can depend on."""

_COMPARED = type(functools.cmp_to_key(lambda one, two: 0))


class UninspectableValue(Exception):
    """A value cannot be looked into, such as a compiled extension of the project or an open file."""


def is_irrelevant(value: object) -> bool:
    """Whether no result can depend on a value: what is weakly referenced may be gone at any time."""
    return isinstance(value, IDLE) or type(value).__module__ in ("weakref", "_weakref", "_weakrefset")


def wrapped_values(value: Any) -> tuple[object, ...] | None:
    """The parts of a wrapper, an annotation, or a value that is not pickled; None for anything else."""
    match value:
        case property():
            return value.fget, value.fset, value.fdel
        case staticmethod() | classmethod():
            return (value.__func__,)
        case contextvars.ContextVar():
            return value.name, _default(value)
        case decimal.Context():  # without the flags, which calculations leave there
            traps = sorted(signal.__name__ for signal, on in value.traps.items() if on)
            return value.prec, value.rounding, value.Emin, value.Emax, value.capitals, value.clamp, traps
        case struct.Struct():
            return (value.format,)
    if isinstance(value, _COMPARED):
        return tuple(gc.get_referents(value))
    if get_origin(value) is not None:
        return get_origin(value), get_args(value)
    if type(value).__module__ == "typing":
        names = ("__bound__", "__constraints__", "__supertype__")
        return (repr(value), *(getattr(value, name, None) for name in names))
    return (vars(value),) if "__wrapped__" in getattr(value, "__dict__", {}) else None


def _default(variable: contextvars.ContextVar[Any]) -> tuple[object, ...]:
    """The default of a context variable."""
    try:
        return (contextvars.Context().run(variable.get),)
    except LookupError:
        return ()


def constant_name(value: object) -> str | None:
    """The name under which a value is a constant of its class's module, None if it is none."""
    namespace = module_names(module_of(type(value)))
    return min((name for name, found in namespace.items() if found is value), default=None)


def stored_attributes(value: object) -> dict[str, Any]:
    """The attributes of an object, without cached ones."""
    held: dict[str, Any] = dict(getattr(value, "__dict__", {}))
    for cls in type(value).__mro__:
        for name, declared in vars(cls).items():
            if isinstance(declared, functools.cached_property):
                held.pop(name, None)
            elif isinstance(declared, MemberDescriptorType) and hasattr(value, name):
                held[name] = getattr(value, name)
    return held


def is_copied_by_attributes(cls: type) -> bool:
    """Whether objects of a class are copied by their attributes, for the class says nothing else."""
    said = copyreg.dispatch_table.get(cls) or any(
        getattr(cls, name) is not getattr(object, name) for name in ("__reduce_ex__", "__reduce__", "__getstate__")
    )
    return not said


def copy_parts(value: Any) -> tuple[object, ...]:
    """The parts by which a value would be copied: maker, arguments, state, items and pairs. Nothing of it is called.

    The state of a usual object is left out: it is its attributes. Raises Unseen where it cannot be told.
    """
    cls = type(value)
    try:
        reducer = copyreg.dispatch_table.get(cls)
        made = reducer(value) if reducer else value.__reduce_ex__(4)
        if isinstance(made, str):
            return (made,)
        maker, arguments, state, items, pairs, setter = (*made, None, None, None, None)[:6]
        own_state = None if is_copied_by_attributes(cls) else state
        return maker, arguments, own_state, tuple(items or ()), tuple(pairs or ()), setter
    except Exception as error:
        raise UninspectableValue(
            f"a value of {cls.__module__}.{cls.__qualname__} cannot be looked into: {error}"
        ) from error
