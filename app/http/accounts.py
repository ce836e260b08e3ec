"""Bank accounts: opened, paid into, paid out of. Each command is one decision and one commit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, Field

from app.amends.http.openapi.answers import FeedToken
from app.amends.http.openapi.responses import responds
from app.amends.http.requests.bodies import ANY_BODY, Body, request_body
from app.amends.http.requests.headers import cause_of, idempotency_key_of
from app.amends.store.aggregates.repository import IdempotentRequest, Repository
from app.amends.store.idempotent_requests import IdempotencyKey, IdempotentRequests
from domain.amends.errors import NotFound
from domain.amends.vocabulary import Unreadable
from domain.banking import Account, NoAccount, OpenAccount, accounts, deposit, open_account, withdraw
from domain.banking.account import MOST, AccountEvent, AccountExists, NotEnoughMoney, TooMuchMoney


class Amount(Body):
    """Minor units of the account's currency."""

    amount: int = Field(ge=1, le=MOST)


class AccountAnswer(BaseModel):
    """An account as it stands."""

    account_id: str
    owner: str
    currency: str
    balance: int
    version: int


class AccountWritten(AccountAnswer):
    """An account after a command; `position` is the place in the feed that shows it."""

    position: FeedToken


class AccountRoutes:
    """The routes below /accounts."""

    def __init__(self, repository: Repository, requests: IdempotentRequests) -> None:
        self._repository, self._requests = repository, requests
        self.router = APIRouter(prefix="/accounts", tags=["accounts"])
        route = self.router.add_api_route
        route("", self.open, methods=["POST"], status_code=201, openapi_extra=ANY_BODY)
        route("/{id}", self.get, methods=["GET"])
        route("/{id}/deposit", self.deposit, methods=["POST"])
        route("/{id}/withdraw", self.withdraw, methods=["POST"])

    @responds(AccountWritten, AccountExists, Unreadable, body=OpenAccount, sends=("Location",))
    async def open(self, request: Request, response: Response) -> dict[str, Any]:
        """Open an account."""
        wanted = await request_body(request, OpenAccount)
        answer = await self._decide(request, wanted.account_id, vars(wanted), open_account, wanted)
        response.headers["Location"] = f"/accounts/{wanted.account_id}"
        return answer

    @responds(AccountAnswer, NotFound, Unreadable, sends=("ETag",))
    async def get(self, id: str, response: Response) -> dict[str, Any]:
        """An account as it stands; the ETag is the version of its stream."""
        account, version = await self._repository.load(accounts, id)
        if account is None:
            raise NotFound("account", id)
        response.headers["ETag"] = f'"{version}"'
        return _shown(account, version)

    @responds(AccountWritten, NotFound, TooMuchMoney, Unreadable)
    async def deposit(self, id: str, amount: Amount, request: Request) -> dict[str, Any]:
        """Pay in."""
        return await self._decide(request, id, {"deposit": amount.amount}, deposit, amount.amount)

    @responds(AccountWritten, NotFound, NotEnoughMoney, Unreadable)
    async def withdraw(self, id: str, amount: Amount, request: Request) -> dict[str, Any]:
        """Pay out, if there is enough."""
        return await self._decide(request, id, {"withdraw": amount.amount}, withdraw, amount.amount)

    async def _decide(
        self, request: Request, id: str, asked: Any, decision: Callable[..., Sequence[AccountEvent]], *args: Any
    ) -> dict[str, Any]:
        cause = cause_of(request)

        async def act(key: IdempotencyKey | None) -> dict[str, Any]:
            once = IdempotentRequest(key.key, key.digest, _shown) if key else None
            done = await self._repository.acting(cause, once).decide(accounts, id, decision, *args)
            return done.before or _shown(done.state, done.version) | {"position": str(done.cursor)}

        try:
            return await self._requests.once(idempotency_key_of(request), {"account": id, "asked": asked}, act)
        except NoAccount as unknown:
            raise NotFound("account", id) from unknown


def _shown(account: Account | None, version: int) -> dict[str, Any]:
    assert account is not None
    return vars(account) | {"version": version}
