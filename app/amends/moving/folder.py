"""The Python files of a team's folder: read all at once, rewritten, and written back only if all could be read."""

from __future__ import annotations

import ast
import io
import tokenize
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from app.amends.moving.moves import RINGS, module_file, top_level_names
from app.amends.moving.names import ProjectPlace
from app.amends.moving.rewriting import RewriteResult, rewrite_source
from domain.amends.errors import AmendsError


class Unparsable(AmendsError):
    """{file} is no Python that can be read here: {problem}. Nothing was changed."""

    file: str
    problem: str


@dataclass(frozen=True)
class PythonFile:
    """A file with its text, and how that is written in bytes."""

    path: Path
    text: str
    encoding: str

    @classmethod
    def read(cls, path: Path) -> PythonFile:
        """Read a file. Raises Unparsable."""
        try:
            content = path.read_bytes()
            encoding, _ = tokenize.detect_encoding(io.BytesIO(content).readline)
            text = content.decode(encoding)
            ast.parse(text)
        except (SyntaxError, ValueError, RecursionError) as error:  # also of bytes that are no text
            line = f"line {error.lineno}: " if isinstance(error, SyntaxError) and error.lineno else ""
            raise Unparsable(str(path), f"{line}{getattr(error, 'msg', None) or error}") from None
        return cls(path, text, encoding)

    def write(self, text: str) -> None:
        """Write another text in its place."""
        self.path.write_bytes(text.encode(self.encoding))


class Folder:
    """A folder, or a single file. Folders named `amends`, hidden ones and environments are nobody's to rewrite."""

    def __init__(self, path: Path) -> None:
        self._path = path.absolute()
        within = self._path if path.is_dir() else self._path.parent
        self._root = next((each for each in (within, *within.parents) if _is_root(each)), within)

    @cached_property
    def files(self) -> list[PythonFile]:
        """All Python files. Raises Unparsable for the first that cannot be read."""
        return [PythonFile.read(path) for path in _python_files(self._path)]

    def rewritten(self) -> Iterator[tuple[PythonFile, RewriteResult]]:
        """Each file with what it becomes. Raises Unparsable before anything else."""
        asked = self._asked
        for file in self.files:
            yield (
                file,
                rewrite_source(file.text, ProjectPlace(self._package(file.path), self._own, asked[_stem(file.path)])),
            )

    @cached_property
    def _asked(self) -> defaultdict[str, frozenset[str]]:
        """The names that are taken from modules, by the last part of a module's name."""
        asked: defaultdict[str, set[str]] = defaultdict(set)
        for file in self.files:
            for node in ast.walk(ast.parse(file.text)):
                match node:
                    case ast.ImportFrom(module=str(module), names=names):
                        asked[module.rpartition(".")[2]] |= {each.name for each in names}
                    case ast.Attribute(value=ast.Name(id=module), attr=name):
                        asked[module].add(name)
                    case ast.Attribute(value=ast.Attribute(attr=module), attr=name):
                        asked[module].add(name)
        return defaultdict(frozenset, {module: frozenset(names) for module, names in asked.items()})

    def _package(self, path: Path) -> str:
        return ".".join(path.relative_to(self._root).parent.parts)

    def _own(self, module: str) -> frozenset[str] | None:
        """What a module of the project itself binds; None if it has none of that name."""
        if module not in self._known:
            file = module_file(self._root, module.split("."))
            read = PythonFile.read(file) if file else None
            self._known[module] = frozenset(top_level_names(ast.parse(read.text))) if read else None
        return self._known[module]

    @cached_property
    def _known(self) -> dict[str, frozenset[str] | None]:
        return {}


def _is_root(folder: Path) -> bool:
    return any((folder / ring).is_dir() for ring in RINGS)


def _stem(path: Path) -> str:
    return path.parent.name if path.stem == "__init__" else path.stem


def _python_files(path: Path) -> Iterator[Path]:
    if path.is_file():
        yield path
        return
    for each in sorted(path.iterdir()):
        if each.is_symlink():
            continue
        if each.is_file() and each.suffix in (".py", ".pyi"):
            yield each
        elif each.is_dir() and not _not_theirs(each):
            yield from _python_files(each)


def _not_theirs(folder: Path) -> bool:
    """Whether a folder is hidden, an environment, or Amends' own part of a ring."""
    return (
        folder.name.startswith(".")
        or folder.name in ("__pycache__", "node_modules", "site-packages")
        or (folder.name == "amends" and folder.parent.name in RINGS)
        or (folder / "pyvenv.cfg").exists()
    )
