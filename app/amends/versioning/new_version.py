"""A new version of a saga: all files are made first, and written only if all of them can be."""

from __future__ import annotations

import ast
import json
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from app.amends.moving.folder import PythonFile
from app.amends.scaffold.tools import run_tool
from app.amends.schema import lock
from app.amends.schema.files import LockFiles
from app.amends.versioning.composition import with_old_version
from app.amends.versioning.formatting import formatted
from app.amends.versioning.old_file import SagaFile
from domain.amends.errors import Conflict, Invalid, NotFound, StartupError
from workflows.amends.definition import Definition


@dataclass(frozen=True)
class NewVersion:
    """What is written: texts by path, the first of them that of the old version's file."""

    name: str
    version: int
    old: Path
    texts: dict[Path, str]

    def write(self) -> None:
        """Write all files, or none. Raises StartupError if one cannot be written."""
        before = {path: path.read_bytes() if path.exists() else None for path in self.texts}
        try:
            for path, text in self.texts.items():
                _write(path, text)
        except OSError as error:
            for path, content in before.items():
                _put_back(path, content)
            raise StartupError(
                f"{error.filename} cannot be written: {error.strerror}.", "Nothing was changed."
            ) from None


def make_version(root: Path, definitions: Sequence[Definition], name: str) -> NewVersion:
    """The next version of a saga. Nothing is written.

    Raises NotFound for a name, StartupError for files that cannot be read or rewritten, and Conflict for one that has
    changes which are not committed, and for an old version that has a file already.
    """
    found = [each for each in definitions if each.name == name]
    if not found:
        raise NotFound("saga", name, f"There are: {', '.join(sorted({each.name for each in definitions}))}.")
    newest = max(found, key=lambda each: each.version)
    path = _file(root, newest)
    saga = _saga_file(path, newest)
    old = path.with_name(f"{path.stem}_v{newest.version}.py")
    if old.exists():
        raise Conflict("version", f"{_shown(old, root)} exists already: delete it, or give it another name.")
    old_module = f"{newest.module}_v{newest.version}"
    composition, listed = _composition(root, saga, old_module)
    try:
        following = saga.next_text()
    except ValueError as written:
        problem = f"the version of {saga.cls} is {written} in {_shown(path, root)}: write it as a number, version=1"
        raise Invalid("version", problem) from None
    _require_committed(root, [path, composition])
    texts = {
        old: formatted(saga.old_text(), saga.text, old, root),
        path: following,
        composition: formatted(listed, PythonFile.read(composition).text, composition, root),
    }
    return NewVersion(name, newest.version + 1, old, texts | dict(_locked(root, newest)))


def _file(root: Path, newest: Definition) -> Path:
    module = sys.modules[newest.module]
    path = Path(module.__file__ or "").resolve()
    if not path.is_relative_to(root.resolve()) or path.name == "__init__.py":
        problem = f"{newest.name} is declared in {path}, and not in a file of its own in this project."
        raise StartupError(problem, "Move it into one, such as workflows/place_order.py.")
    return root / path.relative_to(root.resolve())


def _saga_file(path: Path, newest: Definition) -> SagaFile:
    module, text = sys.modules[newest.module], PythonFile.read(path).text
    at_top = {each.name for each in ast.parse(text).body if isinstance(each, ast.ClassDef)}
    for name, value in vars(module).items():
        if name in at_top and isinstance(value, type) and vars(value).get("definition") is newest:
            return SagaFile(text, module, name, newest.name, newest.version)
    raise StartupError(
        f"{path.name} declares {newest.name} below something else, and not at its top.",
        "Write its class at the top of the file, under the name that it has.",
    )


def _composition(root: Path, saga: SagaFile, old_module: str) -> tuple[Path, str]:
    """The file that makes the saga, and its text with the old version beside it. Raises StartupError."""
    for path in [root / "app" / "main.py", *sorted((root / "app").rglob("*.py"))]:
        if (root / "app" / "amends") in path.parents:
            continue
        text = PythonFile.read(path).text
        made = with_old_version(text, saga.module.__name__, saga.cls, old_module, saga.old_class)
        if made is not None:
            return path, made
    raise StartupError(
        f"No list of app/ has {saga.cls}(…) in it, so the old version cannot be put beside it.",
        f"Make it there where it is listed, sagas=[{saga.cls}(…)] of app/main.py.",
    )


def _require_committed(root: Path, paths: Sequence[Path]) -> None:
    """Raise Conflict for files with changes of which git knows nothing: nobody could tell what the old version was."""
    try:
        changed = run_tool(["git", "status", "--porcelain", "--", *map(str, paths)], root).splitlines()
    except StartupError:
        return  # the project is not kept in git
    if changed:
        raise Conflict(
            "version", f"{changed[0][3:]} has changes that are not committed: commit them, or take them back."
        )


def _locked(root: Path, newest: Definition) -> Iterator[tuple[Path, str]]:
    """The lock file with the shapes of the next version, which are those of this one so far."""
    file = LockFiles(root).of_project
    if not file.exists() or json.loads(file.read_text(encoding="utf-8")).get("format") != lock.FORMAT:
        return
    known = lock.read_lock(file)
    before, after = str(newest.version), str(newest.version + 1)
    more = {
        key._replace(version=after): shape
        for key, shape in known.shapes.items()
        if key.version == before and key.kind in ("input", "output", "signal", "argument", "result")
        if key.name == newest.name or key.name.startswith(f"{newest.name}.")
    }
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder) / file.name
        lock.write_lock(replace(known, shapes=known.shapes | more), made)
        yield file, made.read_text(encoding="utf-8")


def _write(path: Path, text: str) -> None:
    """Write a file whole, with the rights that it has."""
    encoding: Any = PythonFile.read(path).encoding if path.suffix == ".py" and path.exists() else "utf-8"
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as made:
        made.write(text.encode(encoding))
    try:
        os.chmod(made.name, path.stat().st_mode if path.exists() else 0o644)
        os.replace(made.name, path)
    except OSError:
        os.unlink(made.name)
        raise


def _put_back(path: Path, content: bytes | None) -> None:
    if content is None:
        path.unlink(missing_ok=True)
    elif path.read_bytes() != content:
        path.write_bytes(content)


def _shown(path: Path, root: Path) -> str:
    return str(path.relative_to(root) if path.is_relative_to(root) else path)
