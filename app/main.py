"""This service: its settings, its business processes with their gateways, and its endpoints. Everything begins here."""

from __future__ import annotations

from pathlib import Path

from app.amends.service import Parts, Service, ServiceContext
from app.demo import demo
from app.gateways.provider import Connections, HttpCouriers, HttpPayments, HttpStock, HttpTravel, provider_client
from app.http.accounts import AccountRoutes
from app.sandbox.ledger import Ledger
from app.sandbox.provider import Sandbox
from app.settings import ShopSettings
from workflows.book_group_trip import BookGroupTrip
from workflows.book_trip import BookTrip
from workflows.place_order import PlaceOrder
from workflows.transfer_money import TransferMoney

TEST_MODE = (
    "payments, stock and couriers go to a test-mode provider; no money moves (AMENDS_PROVIDER_URL names another)"
)


def build(host: ServiceContext[ShopSettings]) -> Parts:
    """The parts of one process: the sagas, each with its gateways, and what is served and opened beside them."""
    client = provider_client(host.settings.provider_url, host.here, host.token)
    provider = Connections(client, host.providers)
    sandbox = Sandbox(Ledger(host.pool))
    serves_sandbox = not host.settings.provider_url
    return Parts(
        sagas=[
            PlaceOrder(HttpStock(provider), HttpPayments(provider), HttpCouriers(provider)),
            BookTrip(HttpTravel(provider)),
            TransferMoney(host.settings.approval_limit),
            BookGroupTrip(),
        ],
        routers=[
            AccountRoutes(host.repository, host.requests).router,
            *([sandbox.router] if serves_sandbox else []),
        ],
        resources=[client, sandbox.open(earnest=bool(host.settings.api_tokens) and serves_sandbox)],
        private=("/sandbox",) if serves_sandbox and not host.settings.open_sandbox else (),
        notes=[TEST_MODE] if serves_sandbox else [],
    )


service = Service(root=Path(__file__).parents[1], build=build, settings=ShopSettings, commands=[demo])
