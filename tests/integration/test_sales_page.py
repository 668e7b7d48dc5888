"""The page of a sales report in a real browser: read on a phone, and whole on paper."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from jobs import sales_page, sales_totals
from jobs.sales import PaidRefund, Sale
from tests.integration.browser import PHONE

DAY = "2026-11-21"
NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
FITS = "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"
LINES = "cell => Math.round(cell.clientHeight / parseFloat(getComputedStyle(cell).lineHeight))"
SHOWN = "table => table.checkVisibility()"


@pytest.fixture(scope="module")
def report() -> str:
    """A day of large sums, some of them refunded."""
    line = {"sku": "MUG", "quantity": 1000, "price": 123_456_789_012_345}
    sale = Sale("A-1", "order-A-1", DAY, NOON, 123_456_789_012_345_000, "EUR", [line])
    refund = PaidRefund("A-1", "order-A-1", "R-1", "refund-R-1", DAY, NOON, 123_456_789_012_345_000, "EUR")
    totals: sales_totals.Totals = {}
    sales_totals.add_entries(totals, [sale, refund])
    return sales_page.render(DAY, totals, {"MUG": "Mug, blue"}, NOON)


def test_on_a_phone_no_word_is_torn_and_nothing_is_wider_than_the_window(browser, report):
    with browser.new_page(viewport=PHONE) as page:
        page.set_content(report)
        table = page.locator("details table")
        assert table.evaluate(SHOWN) is False
        page.get_by_text("Figures by hour").click()
        assert table.evaluate(SHOWN) is True
        assert page.locator(".hour").last.evaluate(LINES) == 1
        assert page.get_by_role("cell", name="Mug, blue").evaluate(LINES) <= 2
        assert page.evaluate(FITS) <= 0


def test_on_paper_all_figures_are_there(browser, report):
    with browser.new_page() as page:
        page.set_content(report)
        page.emulate_media(media="print")
        assert page.locator("details table").evaluate(SHOWN) is True
