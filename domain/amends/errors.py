"""Everything that can go wrong, by name.

AmendsError
├── DefinitionError          a definition that cannot work; raised when its module is imported
├── Invalid              a value that cannot be; says which field and why
├── Refusal              a business "no": nothing happened, and the facts say why
│   └── …                one subclass for each "no", beside the decision or the port that says it
├── StaleVersion         somebody else wrote to the stream first
├── Overtaken            …again and again (workflows/amends/ports/event_store.py)
├── Unreadable           an event is stored that this code cannot read (vocabulary.py)
│   ├── UnknownEvent     …because no code here knows its name
│   └── NewerEvent       …because newer code wrote it
├── NotFound             nothing is stored under that name
├── Conflict             what is asked does not fit what is stored
├── Unstorable           a value that cannot be kept: JSON or the database does not take it
├── TooLarge             a value that takes more room than the limits allow
├── NoCodeHere           a saga of a version that other servers have code for (workflows/amends/client.py)
├── Contended            a commit that came to nothing again and again, by its own doing or by others'
└── StartupError             the surroundings (settings, database, port) do not allow a start
    └── NotYet           …now, which may pass by itself: the database is away, or is starting
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, fields
from inspect import cleandoc
from string import Formatter
from typing import ClassVar, dataclass_transform, get_type_hints

from domain.amends.names import NAME
from domain.amends.sensitive import MASK, marks_within


class _Masked:
    """A fact that is not told, however the message formats it, or whatever of it."""

    def __format__(self, spec: str) -> str:
        return MASK

    def __repr__(self) -> str:
        return MASK

    def __getattr__(self, name: str) -> _Masked:
        return self

    def __getitem__(self, key: object) -> _Masked:
        return self


@dataclass_transform(eq_default=False)
class AmendsError(Exception):
    """Something went wrong.

    A subclass lists its facts as annotated fields; the first paragraph of its docstring, with the
    fields filled in, is the message.
    """

    def __init_subclass__(cls, **options: object) -> None:
        super().__init_subclass__(**options)
        dataclass(eq=False)(cls)
        if problem := _problem_of_message(_message(cls), {field.name for field in fields(cls)}):  # type: ignore[arg-type]
            raise DefinitionError(cls.__name__, problem)

    def __str__(self) -> str:
        return self.redacted_message()

    def redacted_message(self, hidden: Collection[str] = ()) -> str:
        """The message, without the facts that are marked, and without those of these names."""
        says = _message(type(self))
        marked = self._marked().union(hidden)
        return says.format_map({name: _Masked() if name in marked else fact for name, fact in self.facts().items()})

    def facts(self) -> dict[str, object]:
        """The fields by name, in order of declaration."""
        return {field.name: getattr(self, field.name) for field in fields(self)}  # type: ignore[arg-type]

    def redacted_facts(self) -> dict[str, object]:
        """The facts as anybody may see them: those with a part that is marked PERSONAL or SECRET are masked."""
        marked = self._marked()
        return {name: MASK if name in marked else value for name, value in self.facts().items()}

    def _marked(self) -> set[str]:
        hints = get_type_hints(type(self), include_extras=True)
        return {field.name for field in fields(self) if marks_within(hints[field.name])}  # type: ignore[arg-type]


def _message(cls: type[AmendsError]) -> str:
    """The first paragraph of the docstring: the message, before its fields are filled in."""
    return cleandoc(cls.__doc__ or cls.__name__).split("\n\n")[0].replace("\n", " ")


def _problem_of_message(message: str, known: Collection[str]) -> str | None:
    """What keeps a message from being filled in with these fields."""
    try:
        named = {
            name.partition(".")[0].partition("[")[0] for _, name, _, _ in Formatter().parse(message) if name is not None
        }
    except ValueError as error:
        return f"its docstring is its message, and cannot be filled in: {error}; write {{{{ for a brace"
    if unknown := sorted(named.difference(known)):
        return f"its docstring is its message, and names {unknown[0]!r}, which is no field of it"
    return None


class DefinitionError(AmendsError):
    """{what}: {problem}"""

    what: str
    problem: str


class Invalid(AmendsError, ValueError):
    """{field}: {problem}

    `field` is the path of the value inside what was given, such as `lines.0.quantity`.
    """

    field: str
    problem: str


class Refusal(AmendsError):
    """Refused.

    The business says no: nothing happened, and the fields say why. `class OutOfStock(Refusal, name="out-of-stock")` has
    its message as docstring, with its fields in braces. It is never retried: a saga is compensated, and HTTP has a 409.
    """

    name: ClassVar[str] = "refused"

    def __init_subclass__(cls, *, name: str = "", **options: object) -> None:
        """`name` is stored, in lower-case words joined by hyphens; rename the class as you like, but never the name.

        Raises DefinitionError.
        """
        super().__init_subclass__(**options)
        if not NAME.fullmatch(name):
            problem = f"its name {name!r} must be lower-case words joined by hyphens" if name else "has no name"
            raise DefinitionError(cls.__name__, f'{problem}: class {cls.__name__}(Refusal, name="out-of-stock")')
        cls.name = name


class StaleVersion(AmendsError):
    """Stream {stream} is at version {actual}, not {expected}: load it again and decide anew."""

    stream: str
    expected: int
    actual: int


class NotFound(AmendsError):
    """There is no {kind} {key!r}. {hint}"""

    kind: str
    key: str
    hint: str = ""


class Conflict(AmendsError):
    """{problem}

    What is asked for does not fit what is stored; `kind` is part of the problem's type over HTTP.
    """

    kind: str
    problem: str


class Unstorable(AmendsError):
    """This cannot be stored: {problem}"""

    problem: str


class TooLarge(AmendsError):
    """{what} takes more than {limit} bytes as JSON: keep large content elsewhere, and its address here."""

    what: str
    limit: int


class Unavailable(AmendsError):
    """The database has not answered for {seconds} seconds. Nothing is lost; try again."""

    seconds: float


class Contended(AmendsError):
    """{times} tries came to nothing, lastly with: {problem}"""

    times: int
    problem: str


class StartupError(AmendsError):
    """{problem}

    What to do about it: {remedy}
    """

    problem: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.problem}\n  {self.remedy}"


class NotYet(StartupError):
    """{problem}

    What to do about it, if it does not pass by itself: {remedy}
    """
