"""The page of a sales report: honest, harmless and self-contained."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from html.parser import HTMLParser
from zoneinfo import ZoneInfo

import pytest

from jobs import clock, sales_page, sales_totals
from jobs.sales import PaidRefund, Sale
from jobs.sales_totals import Totals

DAY = "2026-10-25"
HOSTILE = (
    "<script>alert(1)</script>",
    "</title></style></svg><img src=x onerror=alert(1)>",
    "{{ 7 * 7 }}{% raw %}",
    "\"><a href='javascript:alert(1)'>",
    '=HYPERLINK("https://evil.example")',
    "\u202egnimoc",
)


@pytest.fixture(autouse=True)
def _zone(monkeypatch):
    """On that day clocks are put back, so that it has 25 hours: 02:30 comes twice."""
    monkeypatch.setattr(clock, "zone", lambda: ZoneInfo("Europe/Berlin"))


def sold(*orders: tuple[str, str, int, int], currency: str = "EUR") -> Totals:
    """Orders of one line each: the moment (UTC), sku, quantity, price."""
    totals: Totals = {}
    for number, (at, sku, quantity, price) in enumerate(orders):
        line = {"sku": sku, "quantity": quantity, "price": price}
        moment = datetime.fromisoformat(f"{DAY}T{at}:00+00:00")
        sale = Sale(f"A-{number}", f"order-A-{number}", DAY, moment, quantity * price, currency, [line])
        sales_totals.add_entries(totals, [sale])
    return totals


def refunded(totals: Totals, *refunds: tuple[str, int], currency: str = "EUR") -> Totals:
    """The same with refunds: the moment (UTC), the amount."""
    for number, (at, amount) in enumerate(refunds):
        moment = datetime.fromisoformat(f"{DAY}T{at}:00+00:00")
        id = f"R-{number}"
        sales_totals.add_entries(
            totals, [PaidRefund("A-0", "order-A-0", id, f"refund-{id}", DAY, moment, amount, currency)]
        )
    return totals


class Page(HTMLParser):
    """What a browser makes of the page: its elements, their attributes, and its text."""

    def __init__(self, totals: Totals, names: dict[str, str] | None = None, made_at: str = "2026-10-26T02:00:00+00:00"):
        super().__init__()
        self.elements: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.texts: list[str] = []
        self.html = sales_page.render(DAY, totals, names or {}, datetime.fromisoformat(made_at))
        self.feed(self.html)

    def handle_starttag(self, tag, attrs):
        self.elements.append(tag)
        self.attributes += attrs

    def handle_data(self, data):
        self.texts.append(data.strip())


def test_sums_by_currency_hour_and_article():
    totals = sold(("00:30", "MUG", 2, 1250), ("01:30", "TEA", 1, 499), ("22:59", "MUG", 1, 1250))
    sales_totals.add_totals(totals, sold(("12:00", "MUG", 1, 900), currency="JPY"))
    page = Page(sales_totals.read(sales_totals.written(totals)), {"MUG": "Mug, blue"})
    for text in ("Sales of Sunday, 25 October 2026", "42.49 EUR", "3 orders, 4 pieces", "900 JPY", "1 order, 1 piece"):
        assert text in page.texts
    hours = [text for text in page.texts if re.fullmatch(r"\d\d:00", text)]
    assert hours == ["02:00", "23:00", "13:00"], "both hours that are called two o'clock are one"
    assert page.elements.count("rect") == 3
    assert page.texts.index("Mug, blue") < page.texts.index("TEA"), "the one that sold for most comes first"


def test_refunds_are_subtracted_and_drawn_below_the_line():
    totals = refunded(sold(("12:00", "MUG", 2, 1250)), ("12:10", 700), ("12:50", 300), ("20:00", 1))
    sales_totals.add_totals(totals, refunded({}, ("09:00", 1500), currency="KWD"))
    page = Page(sales_totals.read(sales_totals.written(totals)))
    for text in (
        *("14.99 EUR net", "25.00 EUR sold, less 10.01 EUR in 3 refunds", "1 order, 2 pieces"),
        *("-1.500 KWD net", "0.000 KWD sold, less 1.500 KWD in 1 refund", "0 orders, 0 pieces"),
    ):
        assert text in page.texts
    below = re.findall(r'<rect class="back" x="(\d+)" y="160" width="16" height="(\d+)"', page.html)
    assert below == [("262", "64"), ("422", "2"), ("202", "160")], "to the scale of the sales, and never unseen"
    titles = [text for text in page.texts if "refunded" in text]
    assert titles[0] == "13:00 to 13:59: 10.00 EUR refunded"
    assert [text for text in page.texts if re.fullmatch(r"\d\d:00", text)] == ["13:00", "21:00", "10:00"]
    assert page.texts.count("By article") == 1, "refunds have no articles"


def test_a_day_without_refunds_does_not_speak_of_them():
    page = Page(sold(("12:00", "MUG", 1, 1250)))
    assert "12.50 EUR" in page.texts
    assert not [text for text in page.texts if re.search(r"refund|\bnet\b", text) and "{" not in text]


def test_an_empty_day_says_so():
    page = Page({})
    assert "No orders were sold on this day." in page.texts
    assert not {"svg", "table", "details"} & set(page.elements)


def test_a_day_that_is_not_over_says_so():
    so_far = Page({}, made_at=f"{DAY}T22:59:00+00:00")
    assert "No orders were sold yet." in so_far.texts
    assert any("not over" in text for text in so_far.texts)
    assert not any("not over" in text for text in Page({}, made_at=f"{DAY}T23:00:00+00:00").texts)


def test_names_are_text():
    skus = [f"SKU-{number}" for number in range(len(HOSTILE))]
    page = Page(sold(*(("12:00", sku, 1, 100) for sku in skus)), dict(zip(skus, HOSTILE, strict=True)))
    for name in HOSTILE:
        assert name in page.texts
    assert page.elements.count("bdi") == len(HOSTILE), "a name that turns the writing round does so within itself"
    plain = Page(sold(*(("12:00", sku, 1, 100) for sku in skus)), dict.fromkeys(skus, "Mug"))
    assert page.elements == plain.elements


def test_nothing_in_it_runs_or_comes_from_elsewhere():
    page = Page(sold(("12:00", "MUG", 1, 100)), {"MUG": HOSTILE[0]})
    assert not {"script", "link", "img", "iframe", "object", "form", "base", "a", "use", "image"} & set(page.elements)
    names = {name for name, _ in page.attributes}
    assert not [name for name in names if name.startswith("on")] and not {"src", "href", "xlink:href"} & names
    assert not re.search(r"url\(|@import", page.html)
    ((_, policy),) = [each for each in page.attributes if each[0] == "content" and "default-src" in each[1]]
    assert "default-src 'none'" in policy and "script" not in policy


def test_it_is_read_on_a_phone_and_in_the_dark():
    page = Page(sold(("12:00", "MUG", 1, 100)))
    assert ("content", "width=device-width, initial-scale=1") in page.attributes
    assert "prefers-color-scheme: dark" in page.html
    assert not re.search(r"width: *\d+px", page.html)


def test_only_the_best_of_many_articles_are_on_it():
    page = Page(sold(*(("12:00", f"SKU-{number}", 1, number + 1) for number in range(1000))))
    assert page.texts.count("SKU-999") == 1 and "SKU-949" not in page.texts
    assert any("950 more articles" in text for text in page.texts)
    assert len(page.html) < 20_000


def test_moments_are_the_apps():
    assert any("2026-10-26 03:00 (Europe/Berlin)" in text for text in Page({}).texts)
    assert clock.local_day(datetime(2026, 10, 25, 23, tzinfo=UTC)).isoformat() == "2026-10-26"
