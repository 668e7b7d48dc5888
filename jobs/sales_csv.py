"""The sales as CSV (RFC 4180): one record a line of an order, which programs read and spreadsheets open safely."""

from __future__ import annotations

import csv
import heapq
import io
from collections.abc import AsyncIterator, Iterable, Sequence

from jobs import clock, money
from jobs.sales import Sale

COLUMNS = ("order", "confirmed_at", "sku", "quantity", "price", "amount", "currency")
BLOCK = 64 * 1024
"""Bytes that are handed on at once."""

_FORMULA = ("=", "+", "-", "@")
"""What a spreadsheet computes, and might send somewhere, begins with one of these (OWASP: CSV injection)."""


def header() -> bytes:
    """The first record."""
    return _records([COLUMNS])


def records(sales: Iterable[Sale]) -> bytes:
    """The records of some sales, each on one line."""
    return _records(row for sale in sales for row in _rows(sale))


async def merged(parts: Sequence[AsyncIterator[bytes]]) -> AsyncIterator[bytes]:
    """The records of several parts, each sorted by order as far as possible, as one that is.

    Parts are bytes in pieces of any size, and so is what comes of them; little of either is in memory.
    """
    lines = [_lines(part) for part in parts]
    heads: list[tuple[bytes, int, bytes]] = []

    async def take_from(number: int) -> None:
        if line := await anext(lines[number], None):
            heapq.heappush(heads, (line.partition(b",")[0], number, line))

    for number in range(len(lines)):
        await take_from(number)
    block = bytearray()
    while heads:
        _, number, line = heapq.heappop(heads)
        block += line
        if len(block) >= BLOCK:
            yield bytes(block)
            block.clear()
        await take_from(number)
    yield bytes(block)


async def _lines(part: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    rest = b""
    async for piece in part:
        *whole, rest = (rest + piece).split(b"\r\n")
        for line in whole:
            yield line + b"\r\n"


def _rows(sale: Sale) -> Iterable[tuple[str | int, ...]]:
    confirmed_at = sale.confirmed_at.astimezone(clock.zone()).isoformat(timespec="seconds")
    for line in sale.lines:
        price, amount = (
            money.written(minor, sale.currency) for minor in (line["price"], line["quantity"] * line["price"])
        )
        texts = _text(line["sku"]), line["quantity"], price, amount, _text(sale.currency)
        yield _text(sale.order_id), confirmed_at, *texts


def _text(value: str) -> str:
    """One line, and nothing that a spreadsheet would compute."""
    line = "".join(character if character.isprintable() else " " for character in value)
    return f"'{line}" if line.lstrip().startswith(_FORMULA) else line


def _records(rows: Iterable[Sequence[str | int]]) -> bytes:
    written = io.StringIO(newline="")
    csv.writer(written).writerows(rows)
    return written.getvalue().encode()
