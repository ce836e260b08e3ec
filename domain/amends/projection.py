"""A read model: a table that answers questions quickly, kept up to date from the events and never written by hand."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from datetime import datetime
from functools import cached_property
from inspect import signature
from typing import Any, Generic, Literal, NamedTuple, TypeVar, get_args, get_type_hints

from domain.amends.aggregate import Aggregate
from domain.amends.contained import call_contained
from domain.amends.errors import AmendsError, DefinitionError
from domain.amends.event import declared_events, event_type
from domain.amends.read_model.columns import NAME, NUMBERED, Column, column, union_members
from domain.amends.read_model.rows import as_stored_row
from domain.amends.sensitive import PERSONAL, marks_within
from domain.amends.vocabulary import Vocabulary

Row = TypeVar("Row")
E = TypeVar("E")
Mode = Literal["async", "inline", "live"]


class Recorded(NamedTuple, Generic[E]):
    """An event as a projection sees it. Its place in the feed is left out: a rebuild elsewhere gives the same rows.

    `key` is what the stream's name says after its category, `version` counts from 1 in the stream, `at` is when it was
    recorded, in UTC.
    """

    event: E
    stream: str
    key: str
    version: int
    at: datetime


class WrongKey(AmendsError):
    """{projection} gave {event} a row whose key is {given!r}, not {wanted!r}."""

    projection: str
    event: str
    given: object
    wanted: str


class NoKey(AmendsError):
    """{projection} gave {event} a row under {given!r}: a key is a text that can be stored."""

    projection: str
    event: str
    given: object


class NoValue(AmendsError):
    """{projection} gave {event} a row without {column}, which is not `| None`."""

    projection: str
    event: str
    column: str


@dataclass(frozen=True)
class Projection(Generic[Row, E]):
    """A pure function from a row, or none, and an event to the next row, or none; the runner does the rest.

    `evolve` says by its annotations what a row is (a frozen dataclass) and which events it reads; `of` names the
    streams that it reads them from, and `also` those of further aggregates, for a `key_of`. Every event belongs to one
    row: the one of its stream, or of what `key_of` returns (None if it is for no row). `key` names the row's field that
    holds that. Whoever changes what it does raises `version`, rebuilds, and promotes.

    `mode` is how up to date it is: "async" follows the feed; "inline" is written in the commit that appends the events;
    "live" has no table and is folded when somebody asks. The last two have one row per stream. Raises DefinitionError
    for what cannot be a table, and for events that none of its aggregates has.
    (After Marten's projections and Equinox's folds.)
    """

    name: str
    version: int
    of: Aggregate[Any, Any]
    evolve: Callable[[Row | None, Recorded[E]], Row | None]
    key: str
    key_of: Callable[[Recorded[E]], str | None] | None = None
    indexes: Sequence[Sequence[str]] = ()
    mode: Mode = "async"
    also: Sequence[Aggregate[Any, Any]] = ()

    def __post_init__(self) -> None:
        where = f"projection {self.name!r}"
        self._require_form(where)
        self._require_sources(where)
        known = {column.name: column for column in self.columns}
        self._require_key(where, known.get(self.key))
        if any(isinstance(index, str) for index in self.indexes):
            raise DefinitionError(where, "an index is a tuple of fields, also of one: indexes=[('due',)]")
        for name in (name for index in self.indexes for name in index):
            if name not in known:
                raise DefinitionError(where, f"an index names {name!r}, which is no field of {self.row.__name__}")
        self._require_events(where)

    def _require_form(self, where: str) -> None:
        if not NAME.fullmatch(self.name) or NUMBERED.fullmatch(self.name):
            raise DefinitionError(where, "a name is lower-case words joined by underscores, such as 'order_board'")
        if not isinstance(self.version, int) or self.version < 1:
            raise DefinitionError(where, f"versions count from 1, not {self.version!r}")
        if self.mode not in get_args(Mode):
            raise DefinitionError(where, f"its mode is one of {', '.join(get_args(Mode))}, not {self.mode!r}")
        if self.mode != "async" and self.key_of is not None:
            raise DefinitionError(where, f"is {self.mode}: it has one row per stream, and no key_of")

    def _require_sources(self, where: str) -> None:
        """Raise DefinitionError for streams that it cannot read."""
        if not all(isinstance(each, Aggregate) for each in self._read):
            raise DefinitionError(where, "of=… and also=[…] are aggregates themselves, not their names")
        if self.also and self.key_of is None:
            raise DefinitionError(
                where, "reads several categories: a key_of says which row an event of each belongs to"
            )
        categories = [each.category for each in self._read]
        if doubled := next((each for each in categories if categories.count(each) > 1), None):
            raise DefinitionError(where, f"names the category {doubled!r} more than once")

    def _require_events(self, where: str) -> None:
        """Raise DefinitionError for what is no event, or none of those streams."""
        theirs = {event for each in self._read for event in each.event_classes}
        for event in self.vocabulary:
            event_type(event)
            if event not in theirs:
                of = " and ".join(each.category for each in self._read)
                raise DefinitionError(where, f"reads {event.__name__}, which is no event of {of}: name its aggregate")

    def __call__(self, recorded: Iterable[Recorded[E]]) -> dict[str, Row]:
        """The rows that these events add up to, by key."""
        rows: dict[str, Row | None] = {}
        for each in recorded:
            self.apply(rows, each)
        return {key: row for key, row in rows.items() if row is not None}

    def apply(self, rows: MutableMapping[str, Row | None], recorded: Recorded[E]) -> str | None:
        """Let one event change its row, None for one that is not there; returns its key, None if it is for no row.

        Raises WrongKey, and whatever `evolve` raises; then nothing is changed.
        """
        own = self.key_of_stream(recorded.stream)
        if own is not None and own != recorded.key:
            recorded = recorded._replace(key=own)
        key = self.key_for(recorded)
        if key is not None:
            rows[key] = self.next_row(rows.get(key), recorded, key)
        return key

    def key_for(self, recorded: Recorded[E]) -> str | None:
        """Which row an event belongs to; None for one of a stream that it does not read.

        Raises NoKey, and whatever `key_of` raises.
        """
        own = self.key_of_stream(recorded.stream)
        if own is None or self.key_of is None:
            return own
        key: object = call_contained(self.key_of, recorded)
        if key is None:
            return None
        if isinstance(key, str) and _is_storable(key):
            return str.__str__(key)
        raise NoKey(self.name, event_type(recorded.event).name, key)

    def key_of_stream(self, stream: str) -> str | None:
        """What a stream's name says after its category; None for a stream of none that it reads."""
        return next((key for each in self._read if (key := each.key(stream)) is not None), None)

    def dead_letter_key(self, stream: str) -> str | None:
        """Under which key events of a stream wait whose own row is not known; None if they are not read.

        With a `key_of` that is no key of a row, for nobody knows which one they would have changed.
        """
        own = self.key_of_stream(stream)
        return own if own is None or self.key_of is None else f"stream {stream}"

    def next_row(self, row: Row | None, recorded: Recorded[E], key: str) -> Row | None:
        """The row after one more event, as its table will give it back: see `as_stored_row`.

        Raises WrongKey, NoValue, ValueError for an instant without a time zone, and whatever `evolve` raises.
        """
        after = call_contained(self.evolve, row, recorded)
        if after is None:
            return None
        if getattr(after, self.key) != key:
            raise WrongKey(self.name, event_type(recorded.event).name, getattr(after, self.key), key)
        for name in self._required:
            if getattr(after, name) is None:
                raise NoValue(self.name, event_type(recorded.event).name, name)
        return as_stored_row(after, self._kept)

    def _require_key(self, where: str, column: Column | None) -> None:
        if column != Column(self.key, "text", False):
            raise DefinitionError(where, f"its key {self.key!r} must be a field of {self.row.__name__} that is a str")
        if PERSONAL in marks_within(get_type_hints(self.row, include_extras=True)[self.key]):
            raise DefinitionError(where, f"its key {self.key!r} is personal: it stands in addresses; use an id")

    @cached_property
    def _read(self) -> tuple[Aggregate[Any, Any], ...]:
        """Whose streams it reads."""
        return (self.of, *self.also)

    @cached_property
    def _required(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns if not column.nullable)

    @cached_property
    def _kept(self) -> tuple[tuple[str, str], ...]:
        """The columns that may give something else back than they were given."""
        kept = ("jsonb", "timestamptz", "numeric", "double precision")
        return tuple((column.name, column.type) for column in self.columns if column.type in kept)

    @cached_property
    def vocabulary(self) -> Vocabulary[E]:
        """The events that it reads."""
        annotation = get_args(_hints(self.evolve)[1])
        if not annotation:
            raise DefinitionError(
                f"projection {self.name!r}", "the second parameter of evolve is Recorded[…] of its events"
            )
        return Vocabulary(declared_events(annotation[0]))

    @cached_property
    def row(self) -> type[Row]:
        """The class of its rows."""
        first, _, result = _hints(self.evolve)
        rows = [part for part in union_members(result) if part is not type(None)]
        if (
            len(rows) != 1
            or not isinstance(rows[0], type)
            or not is_dataclass(rows[0])
            or set(union_members(first)) != {rows[0], type(None)}
        ):
            raise DefinitionError(
                f"projection {self.name!r}", "evolve takes `Row | None` and returns it; Row is a dataclass"
            )
        found: Any = rows[0]
        return found  # type: ignore[no-any-return]

    @cached_property
    def columns(self) -> tuple[Column, ...]:
        """The columns of its table, in the order of the row's fields."""
        hints = get_type_hints(self.row, include_extras=True)
        return tuple(column(self.name, field.name, hints[field.name]) for field in fields(self.row))  # type: ignore[arg-type]

    @property
    def versioned_name(self) -> str:
        """Name and version in one word."""
        return f"{self.name}:{self.version}"


def _hints(evolve: Callable[..., Any]) -> tuple[Any, Any, Any]:
    hints, names = get_type_hints(evolve, include_extras=True), list(signature(evolve).parameters)
    if len(names) != 2 or not {*names, "return"} <= hints.keys():
        raise DefinitionError(
            getattr(evolve, "__name__", "evolve"), "takes (row, recorded) and annotates both and its result"
        )
    return hints[names[0]], hints[names[1]], hints["return"]


def _is_storable(text: str) -> bool:
    """Whether Postgres takes it: neither U+0000 nor halves of characters."""
    return "\0" not in text and not any("\ud800" <= each <= "\udfff" for each in text)


def differing_keys(one: Mapping[str, Row], other: Mapping[str, Row]) -> list[str]:
    """The keys under which two read models differ."""
    return sorted(key for key in one.keys() | other.keys() if one.get(key) != other.get(key))
