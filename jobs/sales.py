"""The sales: one table row a sold order and a paid refund, by its day and a shard of it: what the day's report is of.

A sale's row is written before the parcel is handed over, and struck out when the order is withdrawn: so an order that
was handed over has its row, and one that was withdrawn never counts, wherever a process dies. A refund's row is written
once it is paid, on the day of its payment, and stays: what was sold on an earlier day is not touched.
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

_BEFORE_REFUND = "!"
"""In a refund's key, after that of its sale: it sorts before whatever ids are made of, so refunds follow their sale."""


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


@dataclass(frozen=True)
class PaidRefund:
    """One paid refund: money of a sold order, in minor units of its currency."""

    order_id: str
    sale: str
    """The Durable instance that sold the order."""
    refund_id: str
    """The id of the refund's job."""
    instance_id: str
    """The Durable instance that paid it."""
    day: str
    """YYYY-MM-DD, in the app's time zone at the moment of the payment."""
    paid_at: datetime
    amount: int
    currency: str


Entry = Sale | PaidRefund
"""What counts on a day."""


async def enter(entry: Entry) -> None:
    """Write the entry's row, unless it is written or struck out."""
    row = _sale_row(entry) if isinstance(entry, Sale) else _refund_row(entry)
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


async def pages(day: str, shard: int) -> AsyncIterator[list[Entry]]:
    """What counts in one shard of a day, a page at a time, by the instance that sold: a sale, and then its refunds."""
    query, parameters = "PartitionKey eq @partition", {"partition": f"{day}.{shard}"}
    async for page in _table().query_entities(query, parameters=parameters, results_per_page=PAGE).by_page():
        yield [_entry(row, day) async for row in page if not row.get("isWithdrawn")]


def _sale_row(sale: Sale) -> dict[str, Any]:
    return {
        **_keys(sale.day, sale.order_id, sale.instance_id),
        "orderId": sale.order_id,
        "confirmedAt": sale.confirmed_at,
        "total": EntityProperty(sale.total, EdmType.INT64),
        "currency": sale.currency,
        "lines": json.dumps(sale.lines),
    }


def _refund_row(refund: PaidRefund) -> dict[str, Any]:
    # An older version of the app, which may run beside this one, takes it for a sale without lines, and subtracts.
    return {
        **_keys(refund.day, refund.order_id, f"{refund.sale}{_BEFORE_REFUND}{refund.instance_id}"),
        "orderId": refund.order_id,
        "confirmedAt": refund.paid_at,
        "total": EntityProperty(-refund.amount, EdmType.INT64),
        "currency": refund.currency,
        "lines": "[]",
        "refund": refund.refund_id,
    }


def _entry(row: dict[str, Any], day: str) -> Entry:
    if "refund" in row:
        sale, _, instance_id = row["RowKey"].partition(_BEFORE_REFUND)
        amount, currency = -row["total"].value, row["currency"]
        return PaidRefund(row["orderId"], sale, row["refund"], instance_id, day, row["confirmedAt"], amount, currency)
    return Sale(
        row["orderId"],
        row["RowKey"],
        day,
        row["confirmedAt"],
        row["total"].value,
        row["currency"],
        json.loads(row["lines"]),
    )


def _keys(day: str, order_id: str, row_key: str) -> dict[str, str]:
    shard = sha256(order_id.encode()).digest()[0] % SHARDS
    return {"PartitionKey": f"{day}.{shard}", "RowKey": row_key}


def _table() -> TableClient:
    return clients().table("sales")
