"""Data of all kinds that a fold may use; nothing else is imported here, as all of it would count."""

from __future__ import annotations

import contextvars
import decimal
import functools
import itertools
import operator
import random
import re
import struct
from collections import ChainMap, Counter, OrderedDict, UserDict, defaultdict, deque
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum
from fractions import Fraction
from pathlib import PurePosixPath
from types import MappingProxyType, SimpleNamespace
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo


class Rate(Decimal):
    pass


class Day(date):
    pass


class Table(dict[str, int]):
    pass


class Names(frozenset[str]):
    pass


class Row(tuple[int, ...]):
    pass


class Cents(int):
    pass


class Word(str):
    pass


class Pairs(UserDict[str, int]):
    pass


class Slots:
    __slots__ = ("number",)


class Remembering:
    @functools.cached_property
    def doubled(self) -> int:
        return 2


class Wrapping:
    def __init__(self, function: Callable[..., Any], factor: int) -> None:
        self.__wrapped__ = function
        self.factor = factor


class Code(Enum):
    NET = re.compile("net")
    GROSS = re.compile("gross")


class Hiding:
    """What it holds is not what it says of itself."""

    def __init__(self, number: int) -> None:
        self.number = number

    def __getstate__(self) -> None:
        return None


class Registered:
    __slots__ = ("_hidden",)


@dataclass(frozen=True)
class Holder:
    value: Any


def holding(made: Any, **held: Any) -> Any:
    """An object with attributes of its own."""
    for name, value in held.items():
        setattr(made, name, value)
    return made


def plus_one(number: int) -> int:
    return number + 1


VALUES: list[Callable[[Any], Any]] = [
    lambda n: re.compile("apple" if n == 1 else "pear"),
    lambda n: re.compile("apple", re.I if n == 1 else 0),
    lambda n: Rate(n),
    lambda n: holding(Rate(1), unit=n),
    lambda n: Day(2026, 1, n),
    lambda n: holding(Day(2026, 1, 1), zone=n),
    lambda n: decimal.Context(prec=n),
    lambda n: decimal.Context(rounding=(decimal.ROUND_UP, decimal.ROUND_DOWN)[n - 1]),
    lambda n: decimal.Context(traps=[(decimal.Inexact, decimal.Rounded)[n - 1]]),
    lambda n: defaultdict((lambda: 2) if n == 1 else (lambda: 3)),
    lambda n: defaultdict(int, {"a": n}),
    lambda n: Table(a=n),
    lambda n: holding(Table(), more=n),
    lambda n: Names({str(n)}),
    lambda n: holding(Names(), more=n),
    lambda n: Row((n,)),
    lambda n: holding(Row(), more=n),
    lambda n: Cents(n),
    lambda n: holding(Cents(), more=n),
    lambda n: holding(Word("a"), more=n),
    lambda n: Pairs(a=n),
    lambda n: holding(Pairs(), more=n),
    lambda n: holding(Slots(), number=n),
    lambda n: holding(Remembering(), beside=n),
    lambda n: holding(functools.cached_property(plus_one), beside=n),
    lambda n: Wrapping(plus_one, n),
    lambda n: functools.lru_cache(maxsize=n)(plus_one),
    lambda n: deque([1], maxlen=n),
    lambda n: deque([n]),
    lambda n: struct.Struct(f"{n}s"),
    lambda n: contextvars.ContextVar("one", default=n),
    lambda n: contextvars.ContextVar(str(n)),
    lambda n: functools.cmp_to_key((lambda a, b: 1) if n == 1 else (lambda a, b: 2)),
    lambda n: functools.partial(max, n),
    lambda n: holding(functools.partial(max), more=n),
    lambda n: functools.partialmethod(max, n),
    lambda n: itertools.count(n),
    lambda n: itertools.cycle([n]),
    lambda n: itertools.repeat(n, 3),
    lambda n: itertools.islice([1, 2, 3], n),
    lambda n: map((lambda a: 1) if n == 1 else (lambda a: 2), [1]),
    lambda n: iter([n]),
    lambda n: random.Random(n),
    lambda n: datetime(2026, 10, 25, 2, fold=n - 1),
    lambda n: time(2, fold=n - 1),
    lambda n: datetime(2026, 10, 25, tzinfo=timezone(timedelta(hours=n))),
    lambda n: timedelta(n),
    lambda n: ZoneInfo(("Europe/Berlin", "Europe/Paris")[n - 1]),
    lambda n: Fraction(1, n),
    lambda n: Decimal(n),
    lambda n: UUID(int=n),
    lambda n: PurePosixPath(str(n)),
    lambda n: range(n),
    lambda n: slice(n),
    lambda n: bytearray(n),
    lambda n: Counter("a" * n),
    lambda n: ChainMap({"a": n}),
    lambda n: OrderedDict([("a", 1), ("b", 2)][:: (1, -1)[n - 1]]),
    lambda n: MappingProxyType({"a": n}),
    lambda n: SimpleNamespace(a=[n]),
    lambda n: nullcontext([n]),
    lambda n: operator.itemgetter(n),
    lambda n: operator.methodcaller("join", n),
    lambda n: ValueError(n),
    lambda n: [str.upper, str.lower][n - 1],
    lambda n: [int.__add__, int.__sub__][n - 1],
    lambda n: [Code.NET, Code.GROSS][n - 1],
    lambda n: compile(f"{n}", "", "eval"),
    lambda n: Hiding(n),
    lambda n: Holder(Holder(re.compile(str(n)))),
    lambda n: property(plus_one if n == 1 else len),
]  # fmt: skip


CALLED: list[int] = []
NUMBERS: list[int] = []


class Loud:
    def __reduce__(self) -> Any:
        return CALLED.append, (1,)
