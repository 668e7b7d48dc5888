"""The demo compares the sales report with what was sold and given back."""

from __future__ import annotations

from typing import Any

import pytest

from demo import board
from demo.files import Files, Thumbnail
from demo.imported import BAD, GOOD
from demo.processes import ROOT

REPORT = {
    "day": "2026-11-22",
    "orders": 29,
    "totals": {"EUR": 229_969},
    "refunds": {"EUR": 1000},
    "net": {"EUR": 228_969},
}


def made(report: dict[str, Any] | None) -> Files:
    """Whatever the report is, the rest is right."""
    thumbnail = Thumbnail(ROOT / "thumbnail-160.webp", 160, 120, 1)
    counts = {"rows": GOOD + BAD, "accepted": GOOD, "bad": BAD}
    bad_row = {"line": "6", "field": "email", "reason": "must be a mail address"}
    return Files((thumbnail,) * 6, counts, (bad_row,) * BAD, GOOD, report, (29, 229_969, 1000))


@pytest.mark.parametrize("report", [REPORT, None])
def test_a_report_that_agrees_has_no_differences(report):
    assert list(made(report).differences()) == []


@pytest.mark.parametrize("wrong", [{"orders": 28}, {"refunds": {}}, {"net": REPORT["totals"]}, {"totals": {}}])
def test_a_report_that_is_wrong_is_named(wrong):
    (difference,) = made({**REPORT, **wrong}).differences()
    assert difference.startswith("the sales report should have")


def test_a_report_is_told_in_one_line():
    said = board.files(made(REPORT))
    assert "the sales report of 2026-11-22: 29 orders, 2,299.69 EUR, less 10.00 refunded: 2,289.69 net:" in said
    said = board.files(made({**REPORT, "refunds": {}, "net": REPORT["totals"]}))
    assert "29 orders, 2,299.69 EUR:" in said
