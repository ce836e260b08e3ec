"""The provider's HTTP interface; what is sent decides how it behaves, as in a payment company's test mode."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Annotated, Any, Literal

import psycopg
from fastapi import APIRouter, Header, Request
from fastapi.responses import JSONResponse
from pydantic import FailFast, Field

from app.amends.http.requests.bodies import Body
from app.sandbox.ledger import Action, Answer, Ledger, Page
from workflows.amends.background import cancel_tasks, wait_until_set

log = logging.getLogger("amends.sandbox")

LATE = timedelta(seconds=5)
SLOW_SECONDS = 3.0
SILENT_SECONDS = 60.0
REFUNDS = "refunds"
FLAKY_FAILURES = 2

Key = Annotated[str, Header(alias="Idempotency-Key", pattern=r"^[A-Za-z0-9._:-]{1,255}$")]


class Wanted(Body):
    reference: str


class Charge(Wanted):
    token: str
    amount: int = Field(ge=0)
    currency: str


class Inverse(Wanted):
    of: str


class Held(Body):
    sku: str
    quantity: int = Field(ge=1)


class Hold(Wanted):
    lines: Annotated[list[Held], FailFast()] = Field(min_length=1)


class Booking(Wanted):
    postcode: str


class Travel(Wanted):
    part: Literal["flight", "hotel", "car"]
    wanted: str
    traveller: str


class RefundSwitch(Body):
    fail: bool


def refused(error: str, message: str, **facts: Any) -> Answer:
    return Answer(409, {"error": error, "message": message, **facts}, f"refused: {error}")


async def act(page: Page) -> Answer:
    """Do what is asked for, unless it was done or undone already."""
    action = page.action
    if await page.undone(action.key):
        return refused("undone", "This was undone before it arrived.")
    if known := await page.effect(action.key):
        return Answer(200, {"id": known, "amount": action.amount}, "repeated")
    return Answer(201, {"id": await page.do(action.amount), "amount": action.amount}, "done")


async def undo(page: Page) -> Answer:
    """Undo what was done under another key, or remember that it must not be done any more."""
    action, of = page.action, page.action.of
    assert of is not None
    if known := await page.effect(action.key):
        return Answer(200, {"id": known}, "repeated")
    before = await page.undone(of)
    await page.remember_undone(of)
    if before or await page.effect(of) is None:
        return Answer(200, {"id": None}, "repeated" if before else "remembered")
    return Answer(201, {"id": await page.do(await page.amount_of(of))}, "done")


async def charge(page: Page, token: str) -> Answer:
    """Charge a card as its token says."""
    match token:
        case "tok_declined" if await page.undone(page.action.key) is None:
            return refused("card_declined", "The card was declined.", reason="declined by the issuer")
        case "tok_flaky" if await page.failures() < FLAKY_FAILURES:
            return Answer(503, {"error": "unavailable", "message": "Try again."}, "failed")
        case "tok_late_charge" if await page.undone(page.action.key) is None:
            if await page.effect(page.action.key) is None:
                await page.postpone(LATE)
            return Answer(202, {"error": "pending", "message": "Accepted; it will be charged later."}, "accepted")
        case _:
            return await act(page)


async def refund(page: Page) -> Answer:
    """Refund a charge, unless refunds of its token are told to fail."""
    charged = await page.request_of(page.action.of or "")
    if charged.get("token") == "tok_refund_fails" and await page.enabled(REFUNDS):
        return Answer(500, {"error": "internal", "message": "The refund failed."}, "failed")
    return await undo(page)


class Sandbox:
    """The provider: its routes, and what it does later."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._postponed = asyncio.Event()
        self.router = APIRouter(prefix="/sandbox", include_in_schema=False)
        self.router.add_api_route("/payments/charge", self.charge, methods=["POST"])
        self.router.add_api_route("/payments/refund", self.refund, methods=["POST"])
        self.router.add_api_route("/payments/refunds", self.switch_refunds, methods=["POST"])
        self.router.add_api_route("/stock/hold", self.hold, methods=["POST"])
        self.router.add_api_route("/stock/release", self.release, methods=["POST"])
        self.router.add_api_route("/couriers/book", self.book, methods=["POST"])
        self.router.add_api_route("/couriers/cancel", self.cancel, methods=["POST"])
        self.router.add_api_route("/travel/book", self.travel, methods=["POST"])
        self.router.add_api_route("/travel/cancel", self.cancel_travel, methods=["POST"])

    async def charge(self, wanted: Charge, key: Key, request: Request) -> JSONResponse:
        action = Action("payments", "charge", key, wanted.reference, wanted.amount, wanted.model_dump())
        async with self._ledger.page(action) as page:
            answer = await page.journal(await charge(page, wanted.token))
        if answer.status == 202:
            self._postponed.set()
        if wanted.token == "tok_timeout_after_charge" and answer.outcome == "done":
            await _silence(request)
        return JSONResponse(answer.body | {"currency": wanted.currency}, answer.status)

    async def refund(self, wanted: Inverse, key: Key) -> JSONResponse:
        action = Action("payments", "refund", key, wanted.reference, None, wanted.model_dump(), wanted.of)
        async with self._ledger.page(action) as page:
            answer = await page.journal(await refund(page))
        return JSONResponse(answer.body, answer.status)

    async def switch_refunds(self, switch: RefundSwitch) -> dict[str, bool]:
        await self._ledger.switch(REFUNDS, switch.fail)
        return {"fail": switch.fail}

    async def hold(self, wanted: Hold, key: Key) -> JSONResponse:
        if any(line.sku.startswith("SLOW-") for line in wanted.lines):
            await asyncio.sleep(SLOW_SECONDS)
        action = Action(
            "stock", "hold", key, wanted.reference, sum(line.quantity for line in wanted.lines), wanted.model_dump()
        )
        async with self._ledger.page(action) as page:
            missing = next((line.sku for line in wanted.lines if line.sku == "OUT-OF-STOCK"), None)
            answer = refused("out_of_stock", "Out of stock.", sku=missing) if missing else await act(page)
            await page.journal(answer)
        return JSONResponse(answer.body, answer.status)

    async def release(self, wanted: Inverse, key: Key) -> JSONResponse:
        return await self._undo("stock", "release", wanted, key)

    async def book(self, wanted: Booking, key: Key) -> JSONResponse:
        action = Action("couriers", "book", key, wanted.reference, None, wanted.model_dump())
        async with self._ledger.page(action) as page:
            nobody = wanted.postcode == "00000"
            answer = refused("no_courier", "Nobody delivers there.") if nobody else await act(page)
            await page.journal(answer)
        return JSONResponse(answer.body, answer.status)

    async def cancel(self, wanted: Inverse, key: Key) -> JSONResponse:
        return await self._undo("couriers", "cancel", wanted, key)

    async def travel(self, wanted: Travel, key: Key) -> JSONResponse:
        if wanted.wanted.startswith("SLOW-"):
            await asyncio.sleep(SLOW_SECONDS)
        action = Action("travel", "book", key, wanted.reference, None, wanted.model_dump())
        async with self._ledger.page(action) as page:
            gone = wanted.wanted == "SOLD-OUT"
            answer = refused("sold_out", f"No such {wanted.part} is left.") if gone else await act(page)
            await page.journal(answer)
        return JSONResponse(answer.body, answer.status)

    async def cancel_travel(self, wanted: Inverse, key: Key) -> JSONResponse:
        return await self._undo("travel", "cancel", wanted, key)

    async def _undo(self, provider: str, operation: str, wanted: Inverse, key: str) -> JSONResponse:
        action = Action(provider, operation, key, wanted.reference, None, wanted.model_dump(), wanted.of)
        async with self._ledger.page(action) as page:
            answer = await page.journal(await undo(page))
        return JSONResponse(answer.body, answer.status)

    @asynccontextmanager
    async def open(self, earnest: bool = False) -> AsyncIterator[None]:
        """Let postponed actions take effect while this is open, those of providers that died included.

        `earnest` says that the service seems to be meant for real, and calls this provider all the same.
        """
        if earnest:
            log.warning("AMENDS_PROVIDER_URL is not set: sagas call the test-mode provider, which moves nothing real.")
        task = asyncio.create_task(self._land(), name="sandbox")
        try:
            yield
        finally:
            await cancel_tasks(task)

    async def _land(self) -> None:
        while True:
            wait = 5.0
            try:
                while await self._ledger.land():
                    pass
                due = await self._ledger.next_due()
                wait = wait if due is None else min(max(due, 0.05), wait)
            except psycopg.Error as error:
                log.debug("Postponed actions wait for the database: %s", error)
                wait = 1.0
            self._postponed.clear()
            await wait_until_set(self._postponed, wait)


async def _silence(request: Request) -> None:
    """Do not answer, until the caller has given up."""
    for _ in range(int(SILENT_SECONDS / 0.25)):
        if await request.is_disconnected():
            return
        await asyncio.sleep(0.25)
