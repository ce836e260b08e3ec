"""Selling: a sale is opened, and handed over once its parcel is packed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from domain.amends.aggregate import Aggregate
from domain.amends.errors import Refusal
from domain.amends.event import event
from domain.amends.projection import Projection, Recorded


@event("sale-opened")
class SaleOpened:
    article: str


@event("sale-handed-over")
class SaleHandedOver:
    parcel: str


SaleEvent = SaleOpened | SaleHandedOver


@dataclass(frozen=True)
class Sale:
    """A sale as it stands."""

    article: str
    parcel: str | None = None


class SaleClosed(Refusal, name="sale-closed"):
    """The sale of {article} is closed."""

    article: str


def evolve(sale: Sale | None, event: SaleOpened | SaleHandedOver) -> Sale | None:
    match event:
        case SaleOpened():
            return Sale(event.article)
        case SaleHandedOver():
            return sale and replace(sale, parcel=event.parcel)


sales: Aggregate[Sale | None, SaleEvent] = Aggregate("sale", initial=None, evolve=evolve)


def open_sale(sale: Sale | None, article: str) -> Sequence[SaleEvent]:
    if sale is not None:
        raise SaleClosed(sale.article)
    return [SaleOpened(article)]


def hand_over(sale: Sale | None, parcel: str) -> Sequence[SaleEvent]:
    return [SaleHandedOver(parcel)] if sale and sale.parcel is None else []


@dataclass(frozen=True)
class SaleRow:
    """A line of the sales list."""

    sale_id: str
    article: str
    status: Literal["open", "handed over"]


def list_sale(row: SaleRow | None, recorded: Recorded[SaleOpened | SaleHandedOver]) -> SaleRow | None:
    match recorded.event:
        case SaleOpened(article):
            return SaleRow(recorded.key, article, "open")
        case SaleHandedOver():
            return row and replace(row, status="handed over")


sales_list = Projection("sales_list", version=1, of=sales, evolve=list_sale, key="sale_id")
