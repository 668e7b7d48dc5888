"""Sales added up: for each currency the whole, by hour of the day and by article."""

from __future__ import annotations

from collections.abc import Iterable

from pydantic import BaseModel, TypeAdapter

from jobs import clock
from jobs.sales import Sale


class Sum(BaseModel):
    """Orders, the pieces in them, and what they come to in minor units of a currency."""

    orders: int = 0
    pieces: int = 0
    amount: int = 0

    def add(self, other: Sum) -> None:
        self.orders += other.orders
        self.pieces += other.pieces
        self.amount += other.amount


class Sold(BaseModel):
    """What was sold in one currency."""

    whole: Sum = Sum()
    hours: dict[int, Sum] = {}
    """By the hour of the day, 0 to 23, in the app's time zone."""
    articles: dict[str, Sum] = {}
    """By sku."""

    def add(self, other: Sold) -> None:
        self.whole.add(other.whole)
        for hour, sold in other.hours.items():
            self.hours.setdefault(hour, Sum()).add(sold)
        for sku, sold in other.articles.items():
            self.articles.setdefault(sku, Sum()).add(sold)


Totals = dict[str, Sold]
"""By currency."""
_TOTALS = TypeAdapter(Totals)


def add_sales(totals: Totals, sales: Iterable[Sale]) -> None:
    """Add more sales to `totals`."""
    for sale in sales:
        pieces = sum(line["quantity"] for line in sale.lines)
        order = Sum(orders=1, pieces=pieces, amount=sale.total)
        sold = totals.setdefault(sale.currency, Sold())
        sold.whole.add(order)
        sold.hours.setdefault(sale.confirmed_at.astimezone(clock.zone()).hour, Sum()).add(order)
        for line in sale.lines:
            amount = line["quantity"] * line["price"]
            article = sold.articles.setdefault(line["sku"], Sum())
            article.add(Sum(orders=1, pieces=line["quantity"], amount=amount))


def add_totals(totals: Totals, more: Totals) -> None:
    """Add the totals of other sales to `totals`."""
    for currency, sold in more.items():
        totals.setdefault(currency, Sold()).add(sold)


def written(totals: Totals) -> bytes:
    """As JSON, which `read` reads."""
    return _TOTALS.dump_json(totals)


def read(content: bytes) -> Totals:
    """What `written` wrote."""
    return _TOTALS.validate_json(content)
