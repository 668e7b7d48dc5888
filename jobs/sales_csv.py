"""The sales as CSV (RFC 4180), which programs read and spreadsheets open safely.

One record a line of an order, and one a refund, whose amount is below zero: so amounts add up to the net.
"""

from __future__ import annotations

import csv
import heapq
import io
from collections.abc import AsyncIterator, Iterable, Sequence
from datetime import datetime

from jobs import clock, money
from jobs.sales import Entry, PaidRefund

COLUMNS = ("order", "confirmed_at", "sku", "quantity", "price", "amount", "currency", "kind", "refund")
"""New ones come last, since programs may read them by place. samples/README.md says what each is."""
BLOCK = 64 * 1024
"""Bytes that are handed on at once."""

_FORMULA = tuple("=+-@＝＋－＠")
"""What a spreadsheet computes, and might send somewhere, begins with one of these (OWASP: CSV injection)."""


def header() -> bytes:
    """The first record."""
    return _records([COLUMNS])


def records(entries: Iterable[Entry]) -> bytes:
    """The records of some sales and refunds, each on one line."""
    return _records(row for entry in entries for row in _rows(entry))


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


def _rows(entry: Entry) -> Iterable[tuple[str | int, ...]]:
    order, currency = _text(entry.order_id), _text(entry.currency)
    if isinstance(entry, PaidRefund):
        # Numbers, and not nothing, in the columns of numbers: what reads them goes on reading them.
        none, amount = (money.written(minor, entry.currency) for minor in (0, -entry.amount))
        yield order, _moment(entry.paid_at), "", 0, none, amount, currency, "refund", _text(entry.refund_id)
        return
    for line in entry.lines:
        price, amount = (
            money.written(minor, entry.currency) for minor in (line["price"], line["quantity"] * line["price"])
        )
        sold = _text(line["sku"]), line["quantity"], price, amount
        yield order, _moment(entry.confirmed_at), *sold, currency, "sale", ""


def _moment(moment: datetime) -> str:
    return moment.astimezone(clock.zone()).isoformat(timespec="seconds")


def _text(value: str) -> str:
    """One line, and nothing that a spreadsheet would compute."""
    line = "".join(character if character.isprintable() else " " for character in value)
    return f"'{line}" if line.lstrip().startswith(_FORMULA) else line


def _records(rows: Iterable[Sequence[str | int]]) -> bytes:
    written = io.StringIO(newline="")
    csv.writer(written).writerows(rows)
    return written.getvalue().encode()
