"""Which provider a step calls is read from its code and from what its gateway holds; nothing is run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from workflows.amends.acts.outbound_calls import OutboundCall, outbound_calls, provider_name
from workflows.amends.providers import Provider
from workflows.amends.saga import Call, Saga, Undo, step


class Connection:
    def __init__(self, *providers: Provider) -> None:
        self.providers = providers
        self.first = providers[0] if providers else None


class Bank:
    limit = 5

    def __init__(self, *providers: Provider) -> None:
        self._connection = Connection(*providers)
        self.itself = self

    async def pay(self, amount: int, *, key: str) -> None:
        raise AssertionError("it is not called")

    async def refund(self, *, key: str) -> None:
        raise AssertionError("it is not called")


@dataclass(frozen=True)
class PayTwice(Saga[int, None], name="pay-twice"):
    bank: Bank
    other: Bank

    async def run(self, request: int) -> None:
        await self.pay(request)

    @step
    async def pay(self, call: Call, amount: int) -> None:
        if amount > self.bank.limit:
            await self.other.pay(amount, key=call.key)
        else:
            await self.bank.pay(amount, key=call.key)
            await self.bank.pay(amount, key=call.key)

    @pay.compensation
    async def pay_back(self, undo: Undo[None], amount: int) -> None:
        await self.bank.refund(key=undo.key)


SAGA = PayTwice(Bank(Provider("bank")), Bank())


def called(name: str) -> tuple[OutboundCall, ...]:
    declared = SAGA.definition.steps["pay"].step
    assert declared.compensation is not None
    body: Any = declared.body if name == "pay" else declared.compensation.body
    return outbound_calls(SAGA, body)


def test_each_call_of_a_step_is_found_once_in_its_order() -> None:
    assert called("pay") == (OutboundCall("other", "pay", None), OutboundCall("bank", "pay", "bank"))
    assert called("pay_back") == (OutboundCall("bank", "refund", "bank"),)


@pytest.mark.parametrize("body", [len, object(), lambda: None])
def test_what_has_no_code_of_a_method_calls_nobody(body: Any) -> None:
    assert outbound_calls(SAGA, body) == ()


def test_a_gateway_of_two_providers_names_none() -> None:
    class Both:
        def __init__(self) -> None:
            self.one, self.two = Provider("one"), Provider("two")

    assert provider_name(Both()) is None
    assert provider_name(Bank(Provider("one"))) == "one"
    assert provider_name(None) is None
