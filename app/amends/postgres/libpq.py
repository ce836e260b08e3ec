"""URLs of a database as libpq reads them: any number of hosts, each with its port, and parameters by name."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from typing import Final, NoReturn

import psycopg
from psycopg import pq

KNOWN: Final = frozenset(option.keyword.decode() for option in pq.Conninfo.get_defaults())
"""The parameters that the query of a URL may hold."""
UNPRINTABLE: Final = "it holds a character that cannot be printed"
AT_SIGN: Final = "an @ in its password is written as %40"


class InvalidUrl(Exception):
    """A URL cannot be used. The text ends a sentence and shows nothing of the URL."""


def url_parameters(text: str) -> dict[str, str]:
    """The parameters of a postgresql:// URL, by libpq's names; none is empty. Raises InvalidUrl."""
    if not text.isprintable():
        raise InvalidUrl(UNPRINTABLE)
    try:
        found = psycopg.conninfo.conninfo_to_dict(text)
    except UnicodeDecodeError:
        raise InvalidUrl(UNPRINTABLE) from None
    except psycopg.Error:
        _explain(text)
    given = {name: str(value) for name, value in found.items() if value not in (None, "")}
    if not all(value.isprintable() for value in given.values()):
        raise InvalidUrl(UNPRINTABLE)
    place, _, _ = text.partition("://")[2].partition("?")
    if "@" in place.partition("@")[2]:
        raise InvalidUrl(AT_SIGN)
    return given


def hosts_and_ports(given: dict[str, str]) -> tuple[list[str], list[str]]:
    """The hosts and as many ports; a port is empty where it is the default one. Raises InvalidUrl."""
    addresses = given.get("hostaddr", "").split(",")
    hosts = given["host"].split(",") if "host" in given else addresses
    ports = [_port(each.strip()) for each in given.get("port", "").split(",")]
    if "hostaddr" in given and len(addresses) != len(hosts):
        raise InvalidUrl(f"it names {len(hosts)} hosts and {len(addresses)} of hostaddr")
    if len(ports) not in (1, len(hosts)):
        raise InvalidUrl(f"it names {len(hosts)} hosts and {len(ports)} ports")
    if any(re.fullmatch(r"[^:/@]+:\d*", host) for host in hosts):
        raise InvalidUrl("the ports of hosts in its query stand beside them: host=a,b&port=1,2")
    return hosts, ports if len(ports) == len(hosts) else ports * len(hosts)


def libpq_default(name: str) -> str | None:
    """The value that libpq uses for a missing parameter: from the environment, or its own."""
    for option in pq.Conninfo.get_defaults():
        if option.keyword.decode() == name:
            return option.val.decode() if option.val else None
    return None


def _port(text: str) -> str:
    if text and not (text.isascii() and text.isdecimal()):
        raise InvalidUrl("its port is not a number")
    if len(text.lstrip("0")) > len("65535") or (text and not 0 < int(text.lstrip("0") or 0) < 65536):
        raise InvalidUrl("its port is not one of 1 to 65535")
    return text and str(int(text.lstrip("0")))


def _explain(text: str) -> NoReturn:
    """Raise InvalidUrl with the reason why libpq cannot read a URL: libpq's own words would show a part of it, such as
    the password."""
    place, _, query = text.partition("://")[2].partition("?")
    pairs = query.split("&") if query else []
    if "@" in text.partition("@")[2]:
        raise InvalidUrl(AT_SIGN)
    if "%00" in text:
        raise InvalidUrl(UNPRINTABLE)
    if re.search(r"%(?![0-9a-fA-F]{2})", text):
        raise InvalidUrl("a % in it that stands for itself is written as %25")
    if " " in text:
        raise InvalidUrl("a space in it is written as %20")
    if "[" in place:
        raise InvalidUrl("its IPv6 address is written as [::1], and then comes its port")
    if any(pair.count("=") != 1 for pair in pairs):
        raise InvalidUrl("a parameter of its query is not written as name=value")
    _require_known([pair.partition("=")[0] for pair in pairs])
    raise InvalidUrl("libpq cannot read it")


def _require_known(names: Sequence[str]) -> None:
    for name in names:
        if name not in KNOWN:
            near = difflib.get_close_matches(name, KNOWN, n=1)
            meant = f"; perhaps {near[0]} was meant" if near else ""
            raise InvalidUrl(f"a parameter of its query is not one of libpq's{meant}")
