"""The sales: one table row a sold order, by its day and a shard of it, from which the day's report is made.

The row is written before the parcel is handed over, and struck out when the order is withdrawn: so an order that was
handed over has its row, and one that was withdrawn never counts, wherever a process dies.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any

from azure.core.exceptions import ResourceExistsError
from azure.data.tables import EdmType, EntityProperty, UpdateMode
from azure.data.tables.aio import TableClient

from jobs.clients import clients

SHARDS = 4
"""The parts of a day that are read at the same time, each a partition of the table."""
PAGE = 1000
"""Rows that table storage gives at once, at most."""


@dataclass(frozen=True)
class Sale:
    """One sold order. Amounts are minor units of the currency."""

    order_id: str
    instance_id: str
    """The Durable instance that sold it: the order's job, in the run that was not undone."""
    day: str
    """YYYY-MM-DD, in the app's time zone at the moment of the confirmation."""
    confirmed_at: datetime
    total: int
    currency: str
    lines: list[dict[str, Any]]
    """Each with `sku`, `quantity` and `price`, which is that of one piece."""


async def enter(sale: Sale) -> None:
    """Write the order's row, unless it is written or struck out."""
    row = {
        **_keys(sale.day, sale.order_id, sale.instance_id),
        "orderId": sale.order_id,
        "confirmedAt": sale.confirmed_at,
        "total": EntityProperty(sale.total, EdmType.INT64),
        "currency": sale.currency,
        "lines": json.dumps(sale.lines),
    }
    try:
        await _table().create_entity(row)
    except ResourceExistsError:
        return


async def strike_out(day: str, order_id: str, instance_id: str) -> None:
    """Have an order not count, also when a straggler writes its row later."""
    row = {**_keys(day, order_id, instance_id), "isWithdrawn": True}
    await _table().upsert_entity(row, mode=UpdateMode.MERGE)


async def shards(day: str) -> list[int]:
    """The shards of a day in which there are rows. One request finds the next of them, or that there is none."""
    found: list[int] = []
    while not found or found[-1] < SHARDS - 1:
        shard = await _first_shard(day, found[-1] + 1 if found else 0)
        if shard is None:
            break
        found.append(shard)
    return found


async def _first_shard(day: str, least: int) -> int | None:
    range = {"least": f"{day}.{least}", "most": f"{day}.{SHARDS - 1}"}
    query = "PartitionKey ge @least and PartitionKey le @most"
    async for row in _table().query_entities(query, parameters=range, select=["PartitionKey"], results_per_page=1):
        return int(row["PartitionKey"].rpartition(".")[2])
    return None


async def pages(day: str, shard: int) -> AsyncIterator[list[Sale]]:
    """The sales in one shard of a day, ordered by the id of their instance, a page at a time."""
    query, parameters = "PartitionKey eq @partition", {"partition": f"{day}.{shard}"}
    async for page in _table().query_entities(query, parameters=parameters, results_per_page=PAGE).by_page():
        yield [_sale(row, day) async for row in page if not row.get("isWithdrawn")]


def _sale(row: dict[str, Any], day: str) -> Sale:
    return Sale(
        row["orderId"],
        row["RowKey"],
        day,
        row["confirmedAt"],
        row["total"].value,
        row["currency"],
        json.loads(row["lines"]),
    )


def _keys(day: str, order_id: str, instance_id: str) -> dict[str, str]:
    shard = sha256(order_id.encode()).digest()[0] % SHARDS
    return {"PartitionKey": f"{day}.{shard}", "RowKey": instance_id}


def _table() -> TableClient:
    return clients().table("sales")
