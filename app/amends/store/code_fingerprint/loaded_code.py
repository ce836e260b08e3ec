"""Digests of code as it is loaded: functions, data, and the project's modules that they may use."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Set
from contextlib import contextmanager
from enum import Enum
from hashlib import sha256
from importlib.machinery import EXTENSION_SUFFIXES
from types import (
    BuiltinFunctionType,
    ClassMethodDescriptorType,
    CodeType,
    FunctionType,
    GetSetDescriptorType,
    MappingProxyType,
    MemberDescriptorType,
    MethodDescriptorType,
    MethodType,
    MethodWrapperType,
    ModuleType,
    WrapperDescriptorType,
)
from typing import Any

from app.amends.store.code_fingerprint.imports import (
    Namespace,
    Origin,
    module_names,
    module_of,
    module_origin,
    modules_imported_by,
    parent_packages,
    value_at_own_name,
)
from app.amends.store.code_fingerprint.inspection import (
    UninspectableValue,
    constant_name,
    copy_parts,
    is_copied_by_attributes,
    is_irrelevant,
    stored_attributes,
    wrapped_values,
)

ATOMS: dict[type, Callable[[Any], object]] = {
    type(None): str,
    type(...): str,
    type(NotImplemented): str,
    bool: str,
    int: hex,
    float: float.hex,
    complex: repr,
    str: str,
    bytes: bytes.hex,
}
CONTAINERS = frozenset((tuple, list, dict, set, frozenset, bytearray, MappingProxyType))
OF_PYTHON = (BuiltinFunctionType, MethodWrapperType, WrapperDescriptorType, MethodDescriptorType,
             ClassMethodDescriptorType, GetSetDescriptorType, MemberDescriptorType)  # fmt: skip
OF_MODULES = re.compile(r"__(name|doc|package|loader|spec|file|cached|path|builtins|annotations|warningregistry)__")
OF_CLASSES = re.compile(
    r"__(doc|module|qualname|dict|weakref|slotnames|firstlineno|static_attributes|annotations_cache)__|_abc_impl|"
    r"__non_callable_proto_members__|_value2member_map_|_unhashable_values_|__pydantic_(?!fields__).*"
)
"""Attributes that Python sets on a class by itself, some of them late."""


class LoadedCode:
    """Digests of values; modules that their code stands in are looked at once for all of them.

    Nothing is read from files: the digest is about the code that runs, not about what would run after a restart. A
    value with a name in a module is known by that name, and the whole module is covered: its functions, classes and
    data as they are now. A value without one, such as a closure, is covered where it stands. Order, file names and line
    numbers do not count. Packages of the names in `own` are the project's, even where they are installed.
    """

    def __init__(self, own: Iterable[str] = ()) -> None:
        self.installed: set[str] = set()
        self._own = frozenset(own)
        self._modules: dict[int, tuple[str, Namespace]] = {}
        self._told: set[int] = set()
        self._open: list[int] = []
        self._names: set[str] = set()
        self._used: set[str] = set()
        self._docs: list[tuple[str, object]] = []

    def module_digests(self) -> dict[str, bytes]:
        """The digests of all modules that were reached, by name. Raises Unseen."""
        found: dict[str, bytes] = {}
        while len(self._told) < len(self._modules):
            for key, (name, namespace) in list(self._modules.items()):
                if key not in self._told:
                    self._told.add(key)
                    found[name] = _digest(found.get(name, ""), self._namespace(name, namespace))
                    self._used |= self._names
                    self._docs.append((name, namespace.get("__doc__")))
        if "__doc__" in self._used:
            found["__doc__"] = _digest(*(part for name, doc in self._docs for part in (name, self.digest_of(doc))))
        return found

    def digest_of(self, value: Any) -> bytes:
        """The digest of a value."""
        if (written := ATOMS.get(type(value))) is not None:
            return _digest(type(value).__name__, written(value))
        if id(value) in self._open:
            return _digest("again", len(self._open) - self._open.index(id(value)))
        if isinstance(value, ModuleType):
            self.cover_module(value.__name__, vars(value))
            return _digest("module", value.__name__)
        if isinstance(value, FunctionType | type):
            return self._declared(value)
        with self._within(value):
            return self._composite(value)

    def cover_module(self, name: str, namespace: Namespace) -> None:
        """Cover a module, if it is one of the project, and the packages that it is in; else note its package."""
        origin = self._origin(name, namespace)
        if origin == "installed":
            self.installed.add(name.partition(".")[0])
        elif origin == "project" and id(namespace) not in self._modules:
            if str(namespace.get("__file__") or "").endswith(tuple(EXTENSION_SUFFIXES)):
                raise UninspectableValue(f"{name} is compiled")
            self._modules[id(namespace)] = (name, namespace)
            for parent in parent_packages(name):
                self.cover_module(parent.__name__, vars(parent))

    def content_digest(self, value: FunctionType | type) -> bytes:
        """The digest of a function or class by its content, whatever its name."""
        with self._within(value):
            return self._function(value) if isinstance(value, FunctionType) else self._class(value)

    # -- modules

    def _origin(self, name: str, namespace: Namespace) -> Origin:
        found = module_origin(name, namespace)
        return "project" if found == "installed" and name.partition(".")[0] in self._own else found

    def _namespace(self, name: str, namespace: Namespace) -> bytes:
        self._used |= self._names
        self._names, own = set(), dict[str, ModuleType]()
        parts = list[object]()
        for known, value in sorted(namespace.items(), key=lambda item: item[0]):
            if isinstance(value, ModuleType) and sys.modules.get(f"{name}.{known}") is value:
                own[known] = value  # it is there as soon as anybody has imported it
            elif not OF_MODULES.fullmatch(known):
                parts += [known, self._member(value, name, "")]
        for known, module in own.items():
            if known in self._names:
                parts += [known, self.digest_of(module)]
        for value in list(namespace.values()):
            if isinstance(value, ModuleType):
                self._submodules(value)
        return _digest(*parts)

    def _submodules(self, package: ModuleType) -> None:
        """Cover `a.b` for code that says `import a.b`, then `a.b.f()`: it names both."""
        for name in self._names:
            module = sys.modules.get(f"{package.__name__}.{name}")
            if module is not None and id(vars(module)) not in self._modules:
                self.cover_module(module.__name__, vars(module))
                self._submodules(module)

    # -- functions and classes

    def _declared(self, value: FunctionType | type) -> bytes:
        """A value that is known by its name: covered where it stands."""
        module = module_of(value)
        namespace = value.__globals__ if isinstance(value, FunctionType) else module_names(module)
        self.cover_module(str(namespace.get("__name__", module)), namespace)
        if value_at_own_name(value) is value or (isinstance(value, type) and not self._is_ours(value)):
            self.cover_module(module, module_names(module))
            return _digest("named", module, value.__qualname__)
        return self.content_digest(value)

    def _member(self, value: Any, module: str, owner: str) -> bytes:
        """A member of a module or class: covered if it is declared there."""
        declared = isinstance(value, FunctionType | type) and module_of(value) == module and id(value) not in self._open
        return (
            self.content_digest(value)
            if declared and value.__qualname__.rpartition(".")[0] == owner
            else self.digest_of(value)
        )

    def _function(self, function: FunctionType) -> bytes:
        cells = [self._cell(cell) for cell in function.__closure__ or ()]
        defaults = self.digest_of(function.__defaults__), self.digest_of(function.__kwdefaults__)
        return _digest("function", self._code(function.__code__, function.__globals__), *cells, *defaults,
                       self._attributes(vars(function)))  # fmt: skip

    def _cell(self, cell: Any) -> bytes:
        try:
            return self.digest_of(cell.cell_contents)
        except ValueError:
            return _digest("empty")

    def _class(self, cls: type) -> bytes:
        self._docs.append((cls.__qualname__, vars(cls).get("__doc__")))
        parts: list[object] = [
            "class",
            cls.__qualname__,
            self.digest_of(type(cls)),
            *map(self.digest_of, cls.__bases__),
        ]
        for name, value in sorted(vars(cls).items()):
            if not OF_CLASSES.fullmatch(name):
                parts += [name, self._member(value, module_of(cls), cls.__qualname__)]
        return _digest(*parts)

    def _code(self, code: CodeType, namespace: Namespace) -> bytes:
        self._names.update(code.co_names)
        for module in modules_imported_by(code, namespace):
            self.digest_of(module)
        constants = [
            self._code(constant, namespace) if isinstance(constant, CodeType) else self.digest_of(constant)
            for constant in code.co_consts
        ]
        names = (code.co_name, code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars)
        counts = (code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_flags)
        return _digest(code.co_code, code.co_exceptiontable, repr(names), repr(counts), *constants)

    # -- values

    def _composite(self, value: Any) -> bytes:
        parts: Iterable[object]
        match value:
            case Enum():
                parts = (value.name, self.digest_of(value.value))
            case MethodType():
                parts = (self.digest_of(value.__func__), self.digest_of(value.__self__))
            case _ if isinstance(value, OF_PYTHON):
                parts = (value.__qualname__, self.digest_of(getattr(value, "__self__", None)))
            case CodeType():
                parts = (self._code(value, {}),)
            case _ if is_irrelevant(value):
                parts = ()
            case _:
                parts = (*self._contents(value), *self._beyond(value))
        return _digest(self.digest_of(type(value)), *parts)

    def _contents(self, value: Any) -> Iterable[object]:
        """The contents of a container or a plain value, whatever its class adds."""
        match value:
            case Mapping():
                return (self.digest_of(part) for pair in value.items() for part in pair)
            case Set():
                return sorted(map(self.digest_of, value))
            case tuple() | list() | bytearray():
                return map(self.digest_of, value)
            case str() | int() | float() | complex() | bytes():
                base = next(base for base in type(value).__mro__ if base in ATOMS)
                return (ATOMS[base](value),)
        return ()

    def _beyond(self, value: Any) -> Iterator[bytes]:
        """The digests of a value's parts beside its contents."""
        ours = self._is_ours(type(value))
        if type(value) in CONTAINERS or (isinstance(value, Mapping | Set) and not isinstance(value, dict) and not ours):
            return
        if not ours and (name := constant_name(value)) is not None:
            yield _digest("own", name)
            return
        made_of = wrapped_values(value)
        yield from map(self.digest_of, made_of or ())
        if ours or (made_of is None and is_copied_by_attributes(type(value))):
            yield self._attributes(stored_attributes(value))
        if made_of is None and not isinstance(value, set | frozenset):  # their order is another one in each process
            yield from map(self.digest_of, copy_parts(value))

    def _attributes(self, attributes: Mapping[str, Any]) -> bytes:
        return _digest(*(part for name, value in sorted(attributes.items()) for part in (name, self.digest_of(value))))

    def _is_ours(self, cls: type) -> bool:
        module = module_of(cls)
        return self._origin(module, module_names(module)) == "project"

    @contextmanager
    def _within(self, value: object) -> Iterator[None]:
        self._open.append(id(value))
        try:
            yield
        finally:
            self._open.pop()


def _digest(*parts: object) -> bytes:
    """One digest of several parts: each with its length, so that they cannot run into each other."""
    whole = sha256()
    for part in parts:
        written = part if isinstance(part, bytes) else str(part).encode("utf-8", "surrogatepass")
        whole.update(b"%d:" % len(written) + written)
    return whole.digest()
