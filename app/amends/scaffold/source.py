"""Where a project has Amends from: a wheel that it keeps, a commit of git, or a version of a package index."""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path
from urllib.parse import unquote, urlsplit
from zipfile import is_zipfile

from app.amends.scaffold.tools import ToolFailed, find_uv, run_tool
from domain.amends.errors import Invalid, StartupError

CHECKOUT = Path(__file__).parents[3]
"""The folder that holds `app`: a checkout of Amends, or where packages are installed."""
VERSION = re.compile(r"\d+(\.\d+)*([abc]|rc|\.dev|\.post)?\d*(\+[a-z0-9.]+)?")
GIT = re.compile(r'git\+(?P<url>[a-z+]+://[^/"\\]*/[^"\\\n]+?)(@(?P<ref>[^@:"\\\n]+))?')
"""What follows the last @ of the path is a branch, which may have slashes, a tag or a commit."""
WHEEL = re.compile(r"amends-(?P<version>[^-]+)-py3-none-any\.whl")


@dataclass(frozen=True)
class AmendsSource:
    """What stands in `pyproject.toml`: the requirement, and what uv is told beside it."""

    requirement: str
    lines: str = ""
    """The table `[tool.uv.sources]`, if it is needed."""
    wheel: Path | None = None
    """The wheel that the project keeps in its folder `wheels`."""
    place: str = ""
    """Where git has it, as it is written for `--amends`."""

    def __str__(self) -> str:
        return f"{self.requirement} from {self.place}" if self.place else self.requirement

    def missing(self, failed: ToolFailed) -> StartupError:
        """The error for packages that could not be locked with it: most often it is not there."""
        return StartupError(
            f"{self} cannot be installed: {failed.reason}.".replace("..", "."),
            "See that it is there, and that git and the package index can be reached from here.",
        )


def source_of(text: str) -> AmendsSource:
    """A path of a wheel, `git+URL@REF` or a version, as somebody writes it. Raises Invalid."""
    if text.endswith(".whl"):
        return of_wheel(Path(text))
    if (git := GIT.fullmatch(text)) is not None:
        if urlsplit(git["url"]).password:
            raise Invalid("amends", "this URL has a password, which would be committed: leave it to git's credentials")
        of_ref = f', rev = "{git["ref"]}"' if git["ref"] else ""
        return AmendsSource("amends", f'[tool.uv.sources]\namends = {{ git = "{git["url"]}"{of_ref} }}\n', place=text)
    if VERSION.fullmatch(text):
        return AmendsSource(f"amends == {text}")
    raise Invalid("amends", f"{text!r} is neither a version such as 0.1.0, nor a wheel's path, nor git+URL@REF")


def of_wheel(wheel: Path) -> AmendsSource:
    """A wheel of Amends, which is kept in the project. Raises Invalid."""
    named = WHEEL.fullmatch(wheel.name)
    if named is None or not is_zipfile(wheel):
        raise Invalid("amends", f"{wheel} is no wheel of Amends, amends-VERSION-py3-none-any.whl")
    lines = f'[tool.uv.sources]\namends = {{ path = "wheels/{wheel.name}" }}\n'
    return AmendsSource(f"amends == {named['version']}", lines, wheel.absolute())


@contextmanager
def own_source() -> Iterator[AmendsSource]:
    """The Amends that runs here: a wheel built from this checkout, or what was installed here. Raises StartupError."""
    if (CHECKOUT / ".ci" / "version.py").is_file():
        if (CHECKOUT / ".git").exists():
            run_tool(["git", "rev-parse", "HEAD"], CHECKOUT)  # a build would not say what git does not like
        with tempfile.TemporaryDirectory() as folder:
            command = [find_uv(CHECKOUT), "build", "--quiet", "--wheel", "--out-dir", folder]
            run_tool(command, CHECKOUT)
            (wheel,) = Path(folder).glob("*.whl")
            yield of_wheel(wheel)
    else:
        yield _installed(distribution("amends"))


def _installed(package: Distribution) -> AmendsSource:
    """As whoever installed it has said where it is (PEP 610); else it came from an index."""
    told = json.loads(package.read_text("direct_url.json") or "{}")
    if "vcs_info" in told:
        return source_of(f"git+{told['url']}@{told['vcs_info']['commit_id']}")
    path = Path(unquote(urlsplit(told.get("url", "")).path))
    return of_wheel(path) if path.suffix == ".whl" else source_of(package.version)


def installed_version() -> str | None:
    """The version of the installed package; None in a checkout."""
    try:
        return distribution("amends").version
    except PackageNotFoundError:
        return None
