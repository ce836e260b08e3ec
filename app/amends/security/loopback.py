"""Names and addresses of this very machine."""

from __future__ import annotations

from ipaddress import IPv6Address, ip_address


def is_loopback(host: str) -> bool:
    """Whether a host is this machine for its own users, and for nobody else."""
    name = host.lower()
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        address = ip_address(name.strip("[]"))
    except ValueError:
        return False
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return (mapped or address).is_loopback


def is_unspecified(host: str) -> bool:
    """Whether a host stands for all addresses of this machine."""
    return host.strip("[]") in ("0.0.0.0", "::")  # noqa: S104


def base_url(host: str, port: int) -> str:
    """The base URL at which this machine itself calls a server that listens on a host."""
    shown = "127.0.0.1" if is_unspecified(host) or host == "localhost" else host
    return f"http://[{shown}]:{port}" if ":" in shown else f"http://{shown}:{port}"
