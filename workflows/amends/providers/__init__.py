"""The other systems that sagas call: how many calls each takes, and whether it is down."""

from workflows.amends.providers.circuit_breaker import FAILURES, MOMENT, CircuitBreaker, Outage
from workflows.amends.providers.provider import CALLS, NoAnswer, Provider, ProviderCall, Providers

__all__ = [
    "CALLS",
    "FAILURES",
    "MOMENT",
    "CircuitBreaker",
    "NoAnswer",
    "Outage",
    "Provider",
    "ProviderCall",
    "Providers",
]
