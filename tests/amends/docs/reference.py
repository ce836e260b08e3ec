"""Writes the reference pages from docstrings, settings and the help of commands: `./run reference`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from types import NoneType, UnionType
from typing import Any, NamedTuple, get_args, get_origin

import typer
from pydantic.fields import FieldInfo

from app.amends.cli.main import app
from app.amends.settings import Settings
from tests.amends.docs.words import module_words
from tests.amends.harness import ROOT
from workflows.amends import saga, simulation

FOLDER = ROOT / "docs" / "reference"
MADE = "<!-- ./run reference makes this page; a test compares it with the code -->"


class WordsPage(NamedTuple):
    """A page of public words: for each module the names that are promised."""

    title: str
    about: str
    words: Mapping[str, Sequence[str]]


WORDS = {
    "sagas.md": WordsPage(
        "The words of a saga",
        "what a business process is written in",
        {
            "workflows.amends.saga": saga.__all__,
            "domain.amends.errors": ["Refusal"],
            "domain.amends.sender": ["SENDER"],
        },
    ),
    "domain.md": WordsPage(
        "The words of a domain",
        "events, aggregates, read models, refusals, and tests of them",
        {
            "domain.amends.event": ["event", "upcasts", "Cause"],
            "domain.amends.aggregate": ["Aggregate"],
            "domain.amends.projection": ["Projection", "Recorded"],
            "domain.amends.errors": ["AmendsError", "Refusal", "Invalid", "NotFound", "Conflict", "DefinitionError"],
            "domain.amends.sensitive": ["PERSONAL", "SECRET"],
            "domain.amends.testing": ["given", "Given", "DecisionResult", "recorded_events"],
        },
    ),
    "simulation.md": WordsPage(
        "The simulation",
        "sagas in memory, for tests",
        {
            "workflows.amends.simulation": simulation.__all__,
            "workflows.amends.simulation.people": ["People"],
            "workflows.amends.brakes.brake": ["BrakeScope"],
            "workflows.amends.simulation.batch_invariance": ["require_batch_invariance"],
        },
    ),
    "service.md": WordsPage(
        "The service",
        "what a team gives to Amends and is given, and what gateways, endpoints and commands are made with",
        {
            "app.amends.service": ["Service", "Parts", "ServiceContext"],
            "app.amends.mounting": ["MountedService"],
            "app.amends.providers.http": ["HttpProvider"],
            "workflows.amends.providers": ["Providers", "Provider", "NoAnswer"],
            "workflows.amends.call": ["ProviderDown"],
            "app.amends.store.aggregates.repository": ["Repository", "CausedDecisions", "Decided", "IdempotentRequest"],
            "app.amends.store.idempotent_requests": ["IdempotentRequests", "IdempotencyKey"],
            "app.amends.http.requests.bodies": ["Body"],
            "app.amends.http.requests.headers": ["cause_of", "idempotency_key_of"],
            "app.amends.http.requests.roles": ["requires"],
            "app.amends.cli.project": ["database_in_use", "project_settings"],
        },
    ),
}


def pages() -> dict[str, str]:
    """All pages, by their file's name."""
    made = {name: [f"# {page.title}", MADE, *_words(page)] for name, page in WORDS.items()}
    made["settings.md"] = ["# Settings", MADE, *_settings()]
    made["commands.md"] = ["# Commands", MADE, *_commands()]
    made["README.md"] = ["# Reference", MADE, *_index()]
    return {name: "\n\n".join(filter(None, parts)) + "\n" for name, parts in made.items()}


def _index() -> Iterator[str]:
    how_to = "The [how-to pages](../how-to/README.md) show how they are used."
    yield f"Every public word, setting and command, as its source says it. {how_to}"
    rows = [f"- [{page.title}]({name}): {page.about}" for name, page in WORDS.items()]
    rows += ["- [Settings](settings.md): environment variables, with defaults and bounds"]
    yield "\n".join([*rows, "- [Commands](commands.md): `./run amends …`"])


def _words(page: WordsPage) -> Iterator[str]:
    for module, names in page.words.items():
        yield from module_words(module, names)


def _settings() -> Iterator[str]:
    yield "Environment variables, read once when a server or a command starts. An unknown or wrong one is refused."
    rows = [_setting(name, field) for name, field in Settings.model_fields.items()]
    yield "\n".join(["| variable | type | default | |", "|---|---|---|---|", *rows])


def _setting(name: str, field: FieldInfo) -> str:
    variable = field.validation_alias or f"AMENDS_{name.upper()}"
    default = "none" if field.default is None or field.default_factory else f"`{_plain(field.default)}`"
    about = (field.description or "").replace("|", "\\|")
    return f"| `{variable}` | {_type(field.annotation)}{_bounds(field)} | {default} | {about} |"


def _bounds(field: FieldInfo) -> str:
    found = {name: getattr(each, name) for each in field.metadata for name in ("ge", "gt", "le") if hasattr(each, name)}
    least = f"above {_plain(found['gt'])}" if "gt" in found else _plain(found["ge"]) if "ge" in found else ""
    return f", {least} to {_plain(found['le'])}" if "le" in found else f", {least}" * bool(least)


def _plain(value: object) -> str:
    """A value as the environment has it."""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value).lower() if isinstance(value, bool) else str(value)


def _type(annotation: Any) -> str:
    """A type as a person says it."""
    if isinstance(annotation, UnionType):
        return " or ".join(_type(each) for each in get_args(annotation) if each is not NoneType)
    names = {str: "text", int: "integer", float: "number", bool: "`true` or `false`", dict: "list"}
    known = get_origin(annotation) or annotation
    choices = [f"`{each}`" for each in get_args(annotation) if isinstance(each, str)]
    return " or ".join(choices) or names.get(known, known.__name__.lower())


def _commands() -> Iterator[str]:
    yield "A project's own commands stand beside these. Where Amends is an installed package, write `amends`."
    group = typer.main.get_group(app)
    for name, command in sorted(group.commands.items()):
        if hasattr(command, "commands"):
            yield f"## `./run amends {name}`"
            for below, each in command.commands.items():
                yield from _command(f"{name} {below}", each)
        else:
            yield from _command(name, command, "##")


def _command(name: str, command: Any, level: str = "###") -> Iterator[str]:
    arguments = " ".join(_argument(each) for each in command.params if not each.opts[0].startswith("-"))
    options = [each for each in command.params if each.opts[0].startswith("-")]
    usage = " ".join(filter(None, ["./run amends", name, arguments, "[OPTIONS]" if options else ""]))
    yield f"{level} `{usage}`"
    yield command.help or ""
    yield "\n".join(_option(each) for each in command.params if each in options or each.help)


def _argument(parameter: Any) -> str:
    shown = parameter.name.upper()
    return shown if parameter.required else f"[{shown}]"


def _option(parameter: Any) -> str:
    name = parameter.opts[0] if parameter.opts[0].startswith("-") else parameter.name.upper()
    flag = getattr(parameter, "is_flag", False)
    default = "" if flag or parameter.default is None else f" Default: `{parameter.default}`."
    needed = " Required." if parameter.required and name.startswith("-") else ""
    about = parameter.help or f"{parameter.name.replace('_', ' ').capitalize()}."
    return f"- `{name}`: {about}{needed}{default}"


def main() -> None:
    """Write them anew."""
    FOLDER.mkdir(exist_ok=True)
    for name, text in pages().items():
        (FOLDER / name).write_text(text)


if __name__ == "__main__":
    main()
