"""Another version of Amends for a project: installed, tried, and committed if all that is tried has passed.

Whatever is tried runs as a process of its own in the project's environment, with the code of the other version; this
process imports nothing any more once that is installed.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from app.amends.scaffold.changes import changes_between
from app.amends.scaffold.recorded import replay_command
from app.amends.scaffold.repository import UNDO, marked_upgrade, uncommitted, undo_all
from app.amends.scaffold.source import GIT, VERSION, AmendsSource, of_wheel, source_of
from app.amends.scaffold.tools import SECONDS, ToolFailed, commit_all, find_uv, run_tool
from app.amends.security.passwords import without_secrets
from domain.amends.errors import Invalid, StartupError

GIT_SOURCE = re.compile(r'^amends = \{[^}\n]*\bgit = "([^"]+)"', re.MULTILINE)
REQUIREMENTS = (
    re.compile(r'"amends(?:(?P<extras>\[[^]"]*\])? *[=<>!~][^"]*)?"'),
    re.compile(r'"amends(?P<extras>\[[^]"]*\])"'),
)
"""Amends among the dependencies, whichever versions it may have; with extras alone only if there is no other line."""
CHANGELOG = "import app.amends.scaffold.changes as c; print(c.changelog(), end='')"
VERSION_NOW = "from importlib.metadata import version; print(version('amends'), end='')"
TAIL = 40
"""Lines of what failed that are shown."""


class Trial(NamedTuple):
    """Something that must pass with the other version."""

    name: str
    command: Sequence[str]
    available: Sequence[str] = ()
    """A command that ends well where there is something to try."""


class Project(NamedTuple):
    """A project's folder, and how its programs are run."""

    root: Path
    uv: str

    @property
    def python(self) -> str:
        return str(self.root / ".venv" / "bin" / "python")

    def ask(self, code: str) -> str:
        """What Python code prints in the project's environment."""
        return run_tool([self.python, "-c", code], self.root)


def upgrade_project(root: Path, target: str, say: Callable[[str], None]) -> bool:
    """Bring a project to another version; False if something did not pass: then all is staged, and nothing committed.

    Raises Invalid for a target that is none, and StartupError for a folder that cannot be upgraded.
    """
    project = Project(root, find_uv(root))
    _require_project(root)
    if not Path(project.python).exists():
        run_tool([project.uv, "sync", "--quiet"], root)
    before, old_changelog = project.ask(VERSION_NOW), _changelog(project)
    with marked_upgrade(root, f"An upgrade from {before} to {target or 'the newest version'}"):
        return _upgrade(project, target, before, old_changelog, say)


def _upgrade(project: Project, target: str, before: str, old_changelog: str, say: Callable[[str], None]) -> bool:
    root = project.root
    say(f"Installing {target or 'the newest version'} in place of {before} …")
    try:
        _install(project, target)
    except BaseException:  # also Ctrl-C
        undo_all(root)
        raise
    after = project.ask(VERSION_NOW)
    if not uncommitted(root):
        say(f"This project has {after} already.")
        return True
    run_tool(["git", "add", "--all", "."], root)
    try:
        if not _passes(project, after, say):
            return False
    except BaseException:  # such as Ctrl-C
        say(f"This was interrupted, and nothing was committed. Undo all of it with: {UNDO}")
        raise
    commit_all(root, f"Amends {after} in place of {before}")
    say("\n".join(changes_between(old_changelog, _changelog(project))))
    say(f"Amends {after} is committed in place of {before}. To undo it: git revert --no-edit HEAD")
    return True


def _passes(project: Project, after: str, say: Callable[[str], None]) -> bool:
    """Whether all that is tried passes; the first that does not is said."""
    for trial in _trials(project):
        if trial.available and _run(project, trial.available)[0]:
            continue
        say(f"{trial.name} …")
        if (said := _failure(project, trial)) is not None:
            say(f"{said}\n{trial.name}: failed with {after}, see above. Nothing was committed.")
            say(f"Mend it and commit, or undo all of it with: {UNDO}")
            return False
    return True


def _require_project(root: Path) -> None:
    if not (root / "pyproject.toml").is_file() or not (root / "app" / "main.py").is_file():
        raise StartupError(
            f"{root} is no project of Amends.", "Run this in a folder that `new` has made, or one like it."
        )
    if "amends" not in (root / "pyproject.toml").read_text():
        raise StartupError("pyproject.toml does not depend on amends.", 'Add "amends" to its dependencies.')


def _install(project: Project, target: str) -> None:
    """Change the dependency, and install what it names."""
    root = project.root
    path = root / "pyproject.toml"
    source = _source(path.read_text(), target)
    if source.wheel is not None:
        (root / "wheels").mkdir(exist_ok=True)
        for each in (root / "wheels").glob("amends-*.whl"):
            if not each.samefile(source.wheel):
                each.unlink()
        if not source.wheel.parent.samefile(root / "wheels"):
            shutil.copy(source.wheel, root / "wheels" / source.wheel.name)
    path.write_text(with_source(path.read_text(), source))
    try:
        run_tool([project.uv, "lock", "--quiet", "--upgrade-package", "amends"], root)
        run_tool([project.uv, "sync", "--quiet"], root)
    except ToolFailed as error:
        raise source.missing(error) from error
    (root / ".venv" / "synced").touch()


def _source(text: str, target: str) -> AmendsSource:
    """What a target means in a project: a bare name of git's is one of the repository that it has Amends from."""
    git = GIT_SOURCE.search(text)
    if not target:
        if "wheels/amends-" in text:
            raise Invalid("version", "this project keeps a wheel: say which one is to take its place, or a version")
        return source_of(f"git+{git[1]}") if git else AmendsSource("amends")
    if git and not target.endswith(".whl") and not VERSION.fullmatch(target) and not GIT.fullmatch(target):
        return source_of(f"git+{git[1]}@{target}")
    return of_wheel(Path(target)) if target.endswith(".whl") else source_of(target)


def with_source(text: str, source: AmendsSource) -> str:
    """A project's `pyproject.toml` with another source of Amends; all else stays as it is written.

    Raises StartupError if it names Amends nowhere in a way that is understood.
    """
    versions = source.requirement.removeprefix("amends")
    for requirement in REQUIREMENTS:
        text, changed = requirement.subn(lambda found: f'"amends{found["extras"] or ""}{versions}"', text)
        if changed:
            break
    else:
        raise StartupError("pyproject.toml has no dependency on amends.", 'Add the line "amends" to its dependencies.')
    text = re.sub(r"^amends = \{.*\}\n", "", text, flags=re.MULTILINE)
    line = source.lines.split("\n")[1] if source.lines else ""
    if line and re.search(r"^\[tool\.uv\.sources\]$", text, flags=re.MULTILINE):
        return text.replace("[tool.uv.sources]\n", f"[tool.uv.sources]\n{line}\n", 1)
    if line:
        return f"{text.rstrip()}\n\n{source.lines}"
    return re.sub(r"^\[tool\.uv\.sources\]\n(?=\s*(\[|\Z))", "", text, flags=re.MULTILINE)


def _trials(project: Project) -> Iterator[Trial]:
    amends = (project.python, "-m", "amends")
    yield Trial("Shapes of what is stored", (*amends, "schema", "check"))
    yield Trial("Types", (project.python, "-m", "mypy"), (project.python, "-c", "import mypy"))
    tried = (*amends, "schema", "try-migrations")
    yield Trial("Migrations on a copy of the schema", tried, (*tried, "--help"))
    checked = (*amends, "workflows", "check")
    yield Trial("What is in flight", checked, (*checked, "--help"))
    if replayed := replay_command(project.root, amends):
        yield Trial("Recordings", replayed, (*replayed, "--help"))
    yield Trial("Tests", (project.python, "-m", "pytest"), (project.python, "-c", "import pytest"))


def _failure(project: Project, trial: Trial) -> str | None:
    """The last lines of what a trial said if it failed; None if it passed."""
    status, said = _run(project, trial.command)
    return "\n".join(said.strip().splitlines()[-TAIL:]) if status else None


def _run(project: Project, command: Sequence[str]) -> tuple[int, str]:
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    try:
        done = subprocess.run(
            command, cwd=project.root, env=environment, capture_output=True, text=True, timeout=SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        return 1, f"{' '.join(command)} has not ended within {SECONDS:.0f} s."
    return done.returncode, without_secrets(done.stdout + done.stderr)


def _changelog(project: Project) -> str:
    """The changelog of the installed version; one that carries none has nothing to say."""
    status, said = _run(project, [project.python, "-c", CHANGELOG])
    return "" if status else said
