"""The sales as CSV: what a program reads and a spreadsheet may open."""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from itertools import chain

import pytest

from jobs import clock, money, sales_csv
from jobs.sales import PaidRefund, Sale

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def _zone(monkeypatch):
    monkeypatch.setattr(clock, "zone", lambda: UTC)


def sale(id: str, sku: str = "MUG", currency: str = "EUR", lines: int = 1) -> Sale:
    named = [{"sku": sku, "quantity": 2, "price": 1250}] * lines
    return Sale(id, f"order-{id}", "2026-11-21", datetime(2026, 11, 21, 12, tzinfo=UTC), 0, currency, named)


def refund(id: str, currency: str = "EUR") -> PaidRefund:
    paid_at = datetime(2026, 11, 22, 9, tzinfo=UTC)
    return PaidRefund(id, f"order-{id}", "R-1", "refund-R-1", "2026-11-22", paid_at, 1000, currency)


async def merged(*parts: bytes, size: int = 7) -> bytes:
    async def pieces(part: bytes) -> AsyncIterator[bytes]:
        for start in range(0, len(part), size):
            yield part[start : start + size]

    return b"".join([block async for block in sales_csv.merged([pieces(part) for part in parts])])


def test_a_record_a_line():
    (record,) = csv.DictReader(io.StringIO((sales_csv.header() + sales_csv.records([sale("A-1")])).decode()))
    assert record == {
        "order": "A-1",
        "confirmed_at": "2026-11-21T12:00:00+00:00",
        "sku": "MUG",
        "quantity": "2",
        "price": "12.50",
        "amount": "25.00",
        "currency": "EUR",
        "kind": "sale",
        "refund": "",
    }
    assert len(sales_csv.records([sale("A-1", lines=3)]).splitlines()) == 3


@pytest.mark.parametrize(("currency", "amount"), [("EUR", "-10.00"), ("JPY", "-1000"), ("KWD", "-1.000")])
def test_a_record_a_refund(currency, amount):
    """Numbers in all columns of numbers: whatever reads them goes on, and amounts add up to the net."""
    written = sales_csv.records([sale("A-1", currency=currency), refund("A-1", currency)]).decode().splitlines()
    assert (len(written), [len(row) for row in csv.reader(written)]) == (2, [len(sales_csv.COLUMNS)] * 2)
    (record,) = csv.DictReader(written[1:], fieldnames=sales_csv.COLUMNS)
    assert (record["order"], record["amount"], record["currency"]) == ("A-1", amount, currency)
    assert (record["kind"], record["refund"], record["confirmed_at"]) == ("refund", "R-1", "2026-11-22T09:00:00+00:00")
    assert (record["sku"], int(record["quantity"]), float(record["price"])) == ("", 0, 0)


@pytest.mark.parametrize(
    "text", ["=1+1", "+1", "-1", "@SUM(A1)", " =1", "\t=1", "\r\n=cmd|' /C calc'!A0", "＝1+1", "＠SUM(A1)"]
)
def test_nothing_is_computed(text):
    (row,) = csv.reader(io.StringIO(sales_csv.records([sale(text, sku=text, currency=text)]).decode()))
    assert all(row[place].startswith("'") for place in (0, 2, 6))


def test_a_record_is_on_one_line_whatever_is_in_it():
    written = sales_csv.records([sale('a"\r\nb', sku="x,\u2028\x00y", currency="\x85")])
    assert len(written.decode().splitlines()) == 1
    assert len(next(csv.reader(io.StringIO(written.decode())))) == len(sales_csv.COLUMNS)


@pytest.mark.parametrize("size", [1, 7, 100_000])
async def test_parts_are_merged_by_order(size):
    ids = [f"A-{number:03}" for number in range(90)]
    parts = [sales_csv.records(sale(id, lines=2) for id in ids[first::3]) for first in range(3)]
    rows = csv.reader(io.StringIO((await merged(*parts, size=size)).decode()))
    assert [row[0] for row in rows] == list(chain.from_iterable((id, id) for id in ids))


async def test_parts_may_be_empty():
    assert await merged() == await merged(b"", b"") == b""
    part = sales_csv.records([sale("A-1")])
    assert await merged(b"", part) == part


async def test_it_is_handed_on_in_blocks():
    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield sales_csv.records([sale("A-1")])

    blocks = sales_csv.merged([endless()])
    assert sales_csv.BLOCK <= len(await anext(blocks)) < 2 * sales_csv.BLOCK


@pytest.mark.parametrize(
    ("amount", "currency", "text"),
    [(1250, "EUR", "12.50"), (5, "EUR", "0.05"), (0, "EUR", "0.00"), (900, "JPY", "900"), (1500, "KWD", "1.500")],
)
def test_amounts(amount, currency, text):
    assert money.written(amount, currency) == text


def test_large_amounts_are_exact():
    assert money.written(123_456_789_012_345_678, "EUR", grouped=True) == "1,234,567,890,123,456.78"
