"""The origin of modules, and the modules that code imports when it runs."""

from __future__ import annotations

import dis
import importlib
import logging
import os
import re
import sys
import sysconfig
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.util import resolve_name
from pathlib import PurePath
from types import CodeType, FunctionType, ModuleType
from typing import Any, Literal, TypeAlias

from domain.amends.contained import call_contained

log = logging.getLogger("amends.store")

Origin = Literal["python", "installed", "project"]
Namespace: TypeAlias = dict[str, Any]

INSTALLED = frozenset(("site-packages", "dist-packages"))
STDLIB = tuple(sysconfig.get_path(name) + os.sep for name in ("stdlib", "platstdlib"))
IMPORT_NAME = dis.opmap["IMPORT_NAME"]
_DOTTED = re.compile(r"\.*[^\W\d]\w*(\.[^\W\d]\w*)*")


def module_origin(name: str, namespace: Mapping[str, Any]) -> Origin:
    """The origin of a module: one that is neither Python's own nor installed as a package is the project's."""
    file = namespace.get("__file__") or next(iter(namespace.get("__path__", ())), None)
    if file is None:
        return "python" if name.partition(".")[0] in sys.stdlib_module_names else "project"
    return _origin(str(file))


@cache
def _origin(file: str) -> Origin:
    if INSTALLED.intersection(PurePath(file).parts):
        return "installed"
    return "python" if file.startswith(STDLIB) else "project"


def parent_packages(name: str) -> Iterator[ModuleType]:
    """The packages that a module is in, as far as they are loaded."""
    while name := name.rpartition(".")[0]:
        if (found := sys.modules.get(name)) is not None:
            yield found


def module_of(value: FunctionType | type) -> str:
    """The module that a function or class names as its own; a class may name any."""
    module: object = value.__module__
    return module if isinstance(module, str) else ""


def value_at_own_name(value: FunctionType | type) -> object:
    """The value at the place that a function or class names as its own."""
    found: Any = sys.modules.get(module_of(value))
    for name in value.__qualname__.split("."):
        found = vars(found).get(name) if isinstance(found, ModuleType | type) else None
    return found


def module_names(module: str) -> Namespace:
    """The names of a module; one that is not loaded has none but its own."""
    found = sys.modules.get(module)
    return {"__name__": module} if found is None else vars(found)


def modules_imported_by(code: CodeType, namespace: Namespace) -> Iterator[ModuleType]:
    """The project's modules that code of a module imports when it runs. They are loaded now, so that they stay as they
    are; one that cannot be is left out.
    """
    if IMPORT_NAME in code.co_code[::2]:
        yield from _stated(code, namespace)
    if "import_module" in code.co_names or "__import__" in code.co_names:
        for constant in code.co_consts:
            if isinstance(constant, str) and _DOTTED.fullmatch(constant):
                yield from _loaded(constant, namespace)


def _stated(code: CodeType, namespace: Namespace) -> Iterator[ModuleType]:
    values: list[Any] = [0, None]
    for instruction in dis.get_instructions(code):
        if instruction.opcode == IMPORT_NAME:
            level, names = values[-2:]
            name = "." * level + instruction.argval
            for module in _loaded(name, namespace):
                yield module
                for wanted in names or ():
                    if hasattr(module, "__path__") and wanted not in vars(module):
                        yield from _loaded(f"{module.__name__}.{wanted}", namespace)
                    elif isinstance(found := vars(module).get(wanted), ModuleType):
                        yield found
        values = [values[-1], instruction.argval]


def _loaded(name: str, namespace: Namespace) -> Iterator[ModuleType]:
    """The module of that name, if it is one of the project or installed, and there is one."""
    try:
        whole = resolve_name(name, namespace.get("__package__") or "")
    except ImportError:
        return
    if whole.partition(".")[0] in sys.stdlib_module_names:
        return
    try:
        yield call_contained(importlib.import_module, whole)
    except Exception as error:
        log.debug("%s is imported by %s, but cannot be: %s", whole, namespace.get("__name__"), error)
