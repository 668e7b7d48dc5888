"""Sales and refunds added up: for each currency the whole, by hour of the day and by article."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from pydantic import BaseModel, TypeAdapter

from jobs import clock
from jobs.sales import Entry, PaidRefund, Sale


class Sum(BaseModel):
    """Orders, the pieces in them, and what they come to in minor units of a currency."""

    orders: int = 0
    pieces: int = 0
    amount: int = 0

    def add(self, other: Sum) -> None:
        self.orders += other.orders
        self.pieces += other.pieces
        self.amount += other.amount


class Refunded(BaseModel):
    """Refunds, and what they come to in minor units of a currency."""

    refunds: int = 0
    amount: int = 0

    def add(self, other: Refunded) -> None:
        self.refunds += other.refunds
        self.amount += other.amount


class Sold(BaseModel):
    """What was sold in one currency, and what was given back, of whatever day its order was."""

    whole: Sum = Sum()
    hours: dict[int, Sum] = {}
    """By the hour of the day, 0 to 23, in the app's time zone."""
    articles: dict[str, Sum] = {}
    """By sku."""
    refunded: Refunded = Refunded()
    refunded_hours: dict[int, Refunded] = {}
    """As `hours`."""

    @property
    def net(self) -> int:
        """What is left of the sales, in minor units; below zero when more was given back than sold."""
        return self.whole.amount - self.refunded.amount

    def add(self, other: Sold) -> None:
        self.whole.add(other.whole)
        for hour, sold in other.hours.items():
            self.hours.setdefault(hour, Sum()).add(sold)
        for sku, sold in other.articles.items():
            self.articles.setdefault(sku, Sum()).add(sold)
        self.refunded.add(other.refunded)
        for hour, refunded in other.refunded_hours.items():
            self.refunded_hours.setdefault(hour, Refunded()).add(refunded)


Totals = dict[str, Sold]
"""By currency."""
_TOTALS = TypeAdapter(Totals)


def add_entries(totals: Totals, entries: Iterable[Entry]) -> None:
    """Add more sales and refunds to `totals`."""
    for entry in entries:
        sold = totals.setdefault(entry.currency, Sold())
        if isinstance(entry, PaidRefund):
            refund = Refunded(refunds=1, amount=entry.amount)
            sold.refunded.add(refund)
            sold.refunded_hours.setdefault(_hour(entry.paid_at), Refunded()).add(refund)
        else:
            _add_sale(sold, entry)


def add_totals(totals: Totals, more: Totals) -> None:
    """Add the totals of other sales to `totals`."""
    for currency, sold in more.items():
        totals.setdefault(currency, Sold()).add(sold)


def _add_sale(sold: Sold, sale: Sale) -> None:
    pieces = sum(line["quantity"] for line in sale.lines)
    order = Sum(orders=1, pieces=pieces, amount=sale.total)
    sold.whole.add(order)
    sold.hours.setdefault(_hour(sale.confirmed_at), Sum()).add(order)
    for line in sale.lines:
        amount = line["quantity"] * line["price"]
        article = sold.articles.setdefault(line["sku"], Sum())
        article.add(Sum(orders=1, pieces=line["quantity"], amount=amount))


def _hour(moment: datetime) -> int:
    return moment.astimezone(clock.zone()).hour


def written(totals: Totals) -> bytes:
    """As JSON, which `read` reads."""
    return _TOTALS.dump_json(totals)


def read(content: bytes) -> Totals:
    """What `written` wrote."""
    return _TOTALS.validate_json(content)
