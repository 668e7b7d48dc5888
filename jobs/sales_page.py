"""The page of a sales report: HTML that needs nothing else, runs nothing, and reads well on a phone and in the dark."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from jobs import clock, money
from jobs.sales_totals import Refunded, Sold, Sum, Totals

if TYPE_CHECKING:
    from jinja2 import Template

PAGES = Path(__file__).parent / "pages"
MOST_ARTICLES = 50
"""So many articles of a currency are on the page, those that sold for most; all are in the CSV file."""

SLOT, BAR, HEIGHT = 20, 16, 160
"""The chart, in units of its own: the width of an hour, and of its bar, and the height of the highest bar."""
LEAST = 2
"""The height of a refund's bar, at least: most are small beside what was sold in an hour, and are to be seen."""


@dataclass(frozen=True)
class Bar:
    """An hour in the chart."""

    x: int
    y: int
    height: int
    title: str


def best_articles(sold: Sold) -> list[tuple[str, Sum]]:
    """The articles that are on the page, by sku, the one that sold for most first."""
    by_amount = sorted(sold.articles.items(), key=lambda article: (-article[1].amount, article[0]))
    return by_amount[:MOST_ARTICLES]


def render(day: str, totals: Totals, names: Mapping[str, str], made_at: datetime) -> str:
    """The page. `names`: of articles, by sku; whatever is in them is text. `made_at`: with a time zone."""
    that_day = date.fromisoformat(day)
    made_there = made_at.astimezone(clock.zone())
    return _template().render(
        day=day,
        title=f"Sales of {that_day:%A}, {that_day.day} {that_day:%B %Y}",
        is_over=made_there.date().isoformat() > day,
        made_at=f"{made_there:%Y-%m-%d %H:%M} ({clock.zone()})",
        currencies=[_section(currency, totals[currency], names) for currency in sorted(totals)],
        has_refunds=any(sold.refunded.refunds for sold in totals.values()),
        slot=SLOT,
        bar_width=BAR,
        height=HEIGHT,
    )


@lru_cache(maxsize=1)
def _template() -> Template:
    # Imported here because it takes time, and most processes make no page.
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    pages = Environment(
        loader=FileSystemLoader(PAGES), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return pages.get_template("sales_report.html")


def _section(currency: str, sold: Sold, names: Mapping[str, str]) -> dict:
    best = best_articles(sold)
    back = list(_refund_bars(sold, currency))
    return {
        "currency": currency,
        "whole": _shown(sold.whole, currency),
        "refunded": _back(sold.refunded, currency),
        "net": money.written(sold.net, currency, grouped=True),
        "bars": list(_bars(sold, currency)),
        "refund_bars": back,
        "depth": max((bar.height for bar in back), default=0),
        "highest": money.written(_highest(sold), currency, grouped=True),
        "hours": [
            (
                f"{hour:02}:00",
                _shown(sold.hours.get(hour, Sum()), currency),
                _back(sold.refunded_hours.get(hour, Refunded()), currency),
            )
            for hour in sorted(sold.hours.keys() | sold.refunded_hours.keys())
        ],
        "articles": [(sku, names.get(sku, ""), _shown(sum, currency)) for sku, sum in best],
        "more_articles": len(sold.articles) - len(best),
    }


def _shown(sum: Sum, currency: str) -> dict[str, str]:
    amount = money.written(sum.amount, currency, grouped=True)
    return {"orders": f"{sum.orders:,}", "pieces": f"{sum.pieces:,}", "amount": amount}


def _back(refunded: Refunded, currency: str) -> dict[str, str] | None:
    if not refunded.refunds:
        return None
    return {"refunds": f"{refunded.refunds:,}", "amount": money.written(refunded.amount, currency, grouped=True)}


def _bars(sold: Sold, currency: str) -> Iterator[Bar]:
    for hour, sum in sorted(sold.hours.items()):
        height = round(HEIGHT * sum.amount / (_highest(sold) or 1))
        title = f"{hour:02}:00 to {hour:02}:59: {_shown(sum, currency)['amount']} {currency}"
        yield Bar(_x(hour), HEIGHT - height, height, title)


def _refund_bars(sold: Sold, currency: str) -> Iterator[Bar]:
    """From the line downwards, to the scale of the sales above it."""
    for hour, refunded in sorted(sold.refunded_hours.items()):
        height = max(LEAST, round(HEIGHT * refunded.amount / _highest(sold)))
        amount = money.written(refunded.amount, currency, grouped=True)
        yield Bar(_x(hour), HEIGHT, height, f"{hour:02}:00 to {hour:02}:59: {amount} {currency} refunded")


def _x(hour: int) -> int:
    return hour * SLOT + (SLOT - BAR) // 2


def _highest(sold: Sold) -> int:
    """What a bar of full height stands for."""
    of_an_hour = (*sold.hours.values(), *sold.refunded_hours.values())
    return max((sum.amount for sum in of_an_hour), default=0)
