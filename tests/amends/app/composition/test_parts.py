"""What a service forgets or gives twice is refused at its start: one sentence names it, another one says the fix."""

from __future__ import annotations

import logging
import re
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import pytest
from fastapi import APIRouter

from app.amends.cli.command_context import definitions
from app.amends.cli.own_commands import own_commands
from app.amends.composition.parts_check import require_sound_parts, warn_of_unlisted_sagas
from app.amends.service import Parts, Service, ServiceContext
from app.amends.settings import Settings
from domain.amends.errors import DefinitionError, StartupError
from workflows.amends.saga import Call, Saga, step


class Posts(Protocol):
    async def send(self, text: str, *, key: str) -> None: ...

    async def recall(self, text: str, *, key: str) -> None: ...


class Letters:
    async def send(self, text: str, *, key: str) -> None: ...

    async def recall(self, text: str, *, key: str) -> None: ...


class Halfway:
    async def send(self, text: str, *, key: str) -> None: ...


@dataclass(frozen=True)
class Greet(Saga[str, None], name="greet"):
    posts: Posts
    greeting: str | None = None

    async def run(self, whom: str) -> None:
        await self.write(whom)

    @step(compensation=None)
    async def write(self, call: Call, whom: str) -> None:
        await self.posts.send(f"{self.greeting} {whom}", key=call.key)


class Salute(Saga[str, None], name="greet"):
    async def run(self, whom: str) -> None: ...


class Parents(Saga[str, None], name="parents", children=[Salute]):
    async def run(self, whom: str) -> None: ...


class Endpoints:
    def __init__(self, prefix: str = "/books", path: str = "/{id}") -> None:
        self.router = APIRouter(prefix=prefix)
        self.router.add_api_route(path, self.get)

    async def get(self) -> None: ...


async def async_build(host: object) -> Parts:
    return Parts(sagas=[])


@asynccontextmanager
async def opened() -> AsyncIterator[None]:
    yield


async def undecorated() -> AsyncIterator[None]:
    yield


@contextmanager
def in_the_foreground() -> Iterator[None]:
    yield


GREET: Any = Greet(Letters())
BOOKS: Any = Endpoints().router
NONE: Any = None
OPENED = opened()


def within(router: APIRouter) -> APIRouter:
    outer = APIRouter(prefix="/outer")
    outer.include_router(router)
    return outer


def parts(sagas: Any = (), **more: Any) -> Parts:
    return Parts(sagas=sagas, **more)


WRONG: dict[str, tuple[Callable[[], Any], str, str]] = {
    "nothing is returned": (lambda: None, "build of app/main.py returned None, not Parts", "return Parts"),
    "a saga alone": (lambda: parts(GREET), "sagas of Parts is an object of Greet, not a list", "in brackets"),
    "a class": (lambda: parts([Greet]), "has the class Greet, not an object", r"Greet\(posts, greeting\)"),
    "no saga": (lambda: parts([Letters()]), "an object of Letters, which is no saga", "subclasses of Saga"),
    "no saga at all": (lambda: parts([None]), "has None, which is no saga", "subclasses of Saga"),
    "no gateway": (lambda: parts([Greet(NONE)]), r"Greet\.posts is None, and Posts is needed there", "its gateways"),
    "a gateway's class": (lambda: parts([Greet(Letters)]), r"Greet\.posts is the class Letters", "its gateways"),  # type: ignore[arg-type]
    "half a gateway": (lambda: parts([Greet(Halfway())]), "Halfway, which has no recall as Posts has", "its gateways"),  # type: ignore[arg-type]
    "one object twice": (lambda: parts([GREET, GREET]), "has Greet twice", "Remove one"),
    "one class twice": (lambda: parts([GREET, Greet(Letters())]), "has Greet twice", "Remove one"),
    "two of one name": (
        lambda: parts([GREET, Salute()]),
        r"Greet and \S*Salute are both 'greet'",
        "version=2",
    ),
    "no child": (
        lambda: parts([Parents()]),
        "Parents starts greet:1, and sagas of",
        "Add the saga of",
    ),
    "routes' object": (lambda: parts(routers=[Endpoints()]), "an object of Endpoints", "add .router"),
    "a function": (lambda: parts(routers=[within]), "the function within, which is no APIRouter", "Call it"),
    "our path": (lambda: parts(routers=[Endpoints("/workflows").router]), r"path /workflows/\{id\}", "a prefix"),
    "our page": (
        lambda: parts(routers=[within(BOOKS), Endpoints("/docs", "").router]),
        "path /docs,",
        "such as /books",
    ),
    "a path twice": (
        lambda: parts(routers=[BOOKS, Endpoints(path="/{book}").router]),
        r"GET /books/\{book\} is given twice, by \S*Endpoints\.get and \S*Endpoints\.get",
        "another path",
    ),
    "a router twice": (lambda: parts(routers=[within(BOOKS), within(BOOKS)]), "GET /outer/books.* twice", "Remove one"),
    "an unmade resource": (lambda: parts(resources=[opened]), "the function opened", "Call it"),
    "no resource": (lambda: parts(resources=[undecorated()]), "async_generator", "Put @asynccontextmanager"),
    "for `with`": (lambda: parts(resources=[in_the_foreground()]), "no async context manager", "opened by `with`"),
    "a resource twice": (lambda: parts(resources=[OPENED, OPENED]), "resources of Parts has .* twice", "Remove one"),
    "a private text": (
        lambda: parts(routers=[BOOKS], private="/books"),
        "private of Parts is an object of str",
        "brack",
    ),
    "a note": (lambda: parts(notes="the books"), "notes of Parts is an object of str", "brack"),
    "notes of nothing": (lambda: parts(notes=[None]), "notes of Parts has None, which is no text", "lines of text"),
    "nothing private": (
        lambda: parts(routers=[BOOKS], private=["/book-s"]),
        "'/book-s', and no endpoint",
        "Correct it",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_parts_that_cannot_work_are_refused(case: str) -> None:
    make, problem, remedy = WRONG[case]
    with pytest.raises(StartupError, match=problem) as refused:
        require_sound_parts(make())
    assert re.search(remedy, refused.value.remedy), refused.value.remedy
    assert "\n" not in refused.value.problem + refused.value.remedy


def test_parts_that_work_are_taken_as_they_are() -> None:
    whole = Parts(
        sagas=[GREET],
        routers=[BOOKS, within(Endpoints().router)],
        resources=[opened(), opened()],
        private=["/books", "/outer/books"],
    )
    assert require_sound_parts(whole) is whole


def hello() -> None: ...


def up() -> None: ...


def again() -> Callable[[], None]:
    def hello() -> None: ...

    return hello


@pytest.mark.parametrize(
    ("commands", "says"),
    [
        ([hello, again()], r"'hello' is given twice, by \S*hello and \S*again\.<locals>\.hello"),
        ([up], r"'up' of \S*test_parts\.up is one of Amends' own"),
        ([NONE], "has None, which is no function"),
    ],
)
def test_commands_that_cannot_work_are_refused(commands: Any, says: str) -> None:
    with pytest.raises(StartupError, match=says):
        own_commands(commands, ["up"])


def build(host: ServiceContext[Any]) -> Parts:
    return Parts(sagas=[])


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"root": "."}, r"root of Service: is a Path, not '\.'"),
        ({"build": Parts(sagas=[])}, "build of Service: is a function"),
        ({"build": Parts}, "build of Service: is a function"),
        ({"build": lambda: Parts(sagas=[])}, "build of Service: is a function that takes a ServiceContext"),
        ({"build": async_build}, "build of Service: is a plain `def`"),
        ({"settings": Path()}, "settings of Service: is a subclass of Settings itself"),
        ({"commands": hello}, "commands of Service: is a list of functions"),
    ],
)
def test_a_service_of_another_form_does_not_import(given: dict[str, Any], says: str) -> None:
    whole: dict[str, Any] = {"root": Path(), "build": build, "settings": Settings}
    Service(**whole)
    with pytest.raises(DefinitionError, match=says):
        Service(**whole | given)


@pytest.mark.parametrize("name", ["running", "database_url"])
def test_a_setting_with_the_name_of_one_of_ours_does_not_import(name: str) -> None:
    with pytest.raises(DefinitionError, match=rf"Shop\.{name}: is the name of a setting of Amends' own"):
        type("Shop", (Settings,), {"__annotations__": {name: int}, "__module__": __name__, name: 1})


def test_a_gateway_that_build_does_not_give_is_told_with_its_line() -> None:
    main = compile("def build(host):\n    return Parts(sagas=[Greet()])", str(Path.cwd() / "app" / "main.py"), "exec")
    names: dict[str, Any] = {"Parts": Parts, "Greet": Greet}
    exec(main, names)
    service = Service(root=Path(__file__).parent, build=names["build"], settings=Settings)
    with pytest.raises(StartupError, match=r"app/main\.py:2: TypeError: Greet.* argument: 'posts'"):
        definitions(service, Settings())


def test_a_saga_that_nobody_lists_is_told(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "amends"):
        warn_of_unlisted_sagas([GREET], "tests.amends.business")
    (said,) = [each.getMessage() for each in caplog.records]
    assert said.startswith("buy:1 of tests.amends.business.buying.Buy is not in sagas of Parts")
