"""The orders that the demo's file of orders became, and what each of them must cost."""

from __future__ import annotations

import csv
import json
import time
from collections.abc import Collection
from dataclasses import dataclass

from demo.outcomes import FINAL
from demo.scenarios import SAMPLES
from demo.shop import Shop

FILE = SAMPLES / "imports/orders.csv"
GOOD, BAD = 17, 3
"""Rows of the file."""


@dataclass(frozen=True, slots=True)
class Imported:
    """The orders that were sold, by their ids: pieces by sku."""

    orders: dict[str, dict[str, int]]

    @property
    def total(self) -> int:
        """Their price by the price list, in minor units."""
        prices = {article["sku"]: article["price"] for article in json.loads((SAMPLES / "stock.json").read_text())}
        return sum(prices[sku] * pieces for lines in self.orders.values() for sku, pieces in lines.items())


def wait(shop: Shop, others: Collection[str], seconds: float) -> Imported:
    """Wait until every good row of the file is an order that has ended. `others`: the ids of orders of other doors."""
    deadline = time.monotonic() + seconds
    while True:
        found = {each["id"]: each["status"] for each in shop.jobs("order") if each["id"] not in others}
        if sum(status in FINAL for status in found.values()) >= GOOD or time.monotonic() > deadline:
            break
        time.sleep(0.2)
    rows = _rows()
    # An order's id ends with the line of its row.
    sold = [id for id, status in found.items() if status == "Completed"]
    return Imported({id: rows[int(id.rpartition("-")[2])] for id in sold})


def _rows() -> dict[int, dict[str, int]]:
    """Pieces by sku, by the line in which a row of the file begins; bad rows are left out."""
    rows = {}
    with FILE.open(newline="") as file:
        reader = csv.DictReader(file)
        begins = reader.line_num + 1 if reader.fieldnames else 0
        for row in reader:
            items = dict(item.partition(":")[::2] for item in row["items"].split(";"))
            if all(items.values()):
                rows[begins] = {sku: int(pieces) for sku, pieces in items.items()}
            begins = reader.line_num + 1
    return rows
