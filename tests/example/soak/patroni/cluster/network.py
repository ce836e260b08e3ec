"""Where the nodes of a cluster live: in network namespaces of their own, which can be cut off, or on loopback."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from typing import Protocol

from tests.example.soak.patroni.cluster.programs import find

ETCD, CLIENTS = 2, 1
"""The last numbers of the addresses of etcd and of everybody who is no node."""
FIRST_NODE = 11


class Network(Protocol):
    """Addresses, and how programs are started there."""

    can_cut: bool

    def address(self, number: int) -> str: ...

    def within(self, number: int) -> Sequence[str]:
        """What stands before a command that runs at a node."""
        ...

    def cut(self, number: int) -> None:
        """Nothing that is sent to the node arrives, and nothing from it."""
        ...

    def cut_from(self, number: int, others: Sequence[int]) -> None:
        """The node reaches everybody but these."""
        ...

    def mend(self, number: int) -> None: ...

    def close(self) -> None: ...


class Loopback:
    """For those who may not make namespaces: 127.77.0.x, where nobody can be cut off."""

    can_cut = False

    def address(self, number: int) -> str:
        return f"127.77.0.{number}"

    def within(self, number: int) -> Sequence[str]:
        return ()

    def cut(self, number: int) -> None:
        raise NotImplementedError

    def cut_from(self, number: int, others: Sequence[int]) -> None:
        raise NotImplementedError

    def mend(self, number: int) -> None:
        raise NotImplementedError

    def close(self) -> None:
        return


class Namespaces:
    """A bridge on this machine that leads nowhere else, and behind it a network namespace for each node.

    The addresses are of those that are set aside for measurements (RFC 2544).
    """

    can_cut = True

    def __init__(self, nodes: Sequence[int]) -> None:
        self._nodes = nodes
        self._id = os.getpid()
        self._bridge = f"am{self._id}"
        try:
            self._ip("link", "add", self._bridge, "type", "bridge")
            for number in (CLIENTS, ETCD):
                self._ip("address", "add", f"{self.address(number)}/24", "dev", self._bridge)
            self._ip("link", "set", self._bridge, "up")
            for number in nodes:
                self._add(number)
        except BaseException:
            self.close()
            raise

    def address(self, number: int) -> str:
        return f"198.18.{self._id % 250}.{number}"

    def within(self, number: int) -> Sequence[str]:
        return (str(find("nsenter")), f"--net=/run/netns/{self._name(number)}", "--")

    def cut(self, number: int) -> None:
        self._ip("link", "set", self._name(number), "down")

    def cut_from(self, number: int, others: Sequence[int]) -> None:
        for other in others:
            self._ip("-n", self._name(number), "route", "add", "blackhole", self.address(other))

    def mend(self, number: int) -> None:
        self._ip("link", "set", self._name(number), "up")
        with suppress(subprocess.CalledProcessError):
            self._ip("-n", self._name(number), "route", "flush", "type", "blackhole")

    def close(self) -> None:
        for number in self._nodes:
            with suppress(subprocess.CalledProcessError):
                self._ip("netns", "delete", self._name(number))
        with suppress(subprocess.CalledProcessError):
            self._ip("link", "delete", self._bridge)

    def _name(self, number: int) -> str:
        return f"am{self._id}n{number}"

    def _add(self, number: int) -> None:
        name = self._name(number)
        self._ip("netns", "add", name)
        self._ip("link", "add", name, "type", "veth", "peer", "name", "eth0", "netns", name)
        self._ip("link", "set", name, "master", self._bridge, "up")
        for command in (
            ("address", "add", f"{self.address(number)}/24", "dev", "eth0"),
            ("link", "set", "lo", "up"),
            ("link", "set", "eth0", "up"),
        ):
            self._ip("-n", name, *command)

    def _ip(self, *command: str) -> None:
        subprocess.run([str(find("ip")), *command], check=True, capture_output=True, text=True)


def network(nodes: Sequence[int]) -> Network:
    """Namespaces where this process may make them."""
    if os.geteuid() == 0 and find("ip") and find("nsenter"):
        with suppress(subprocess.CalledProcessError):
            return Namespaces(nodes)
    return Loopback()
