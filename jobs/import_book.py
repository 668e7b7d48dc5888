"""What imports have ordered of a file, in the order book: known there also when the ledger has none of it any more.

Table `orders`, partition `<identity>-rows`: for some rows of a file, the line and the digest of each that an import has
made an order of, whatever became of the order. It is one request for many orders, and none when they are confirmed.
Orders that older versions of the app imported are in the book only if they were confirmed, and without a digest.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

from azure.data.tables import UpdateMode
from azure.data.tables.aio import TableClient

from jobs.clients import clients
from jobs.import_rows import DIGITS, line_of
from jobs.ledger import JobRef
from jobs.order_book import ROW

MOST_IN_ROW = 1500
"""Orders: table storage takes 64 KiB of bytes."""
_ORDER = struct.Struct(">I32s")
"""The line, and the digest of the input."""


async def enter(identity: str, job: JobRef, orders: Sequence[tuple[int, str]]) -> None:
    """Enter what an import has made orders of, each with its line and the digest of its input. Harmless to repeat.

    Another run of the import may know of fewer of them, and has rows of its own.
    """
    for start in range(0, len(orders), MOST_IN_ROW):
        some = orders[start : start + MOST_IN_ROW]
        made = b"".join(_ORDER.pack(line, bytes.fromhex(digest)) for line, digest in some)
        keys = {"PartitionKey": f"{identity}-rows", "RowKey": f"{some[0][0]:0{DIGITS}}-{job.of_run(job.id)}"}
        await _table().upsert_entity({**keys, "made": made}, mode=UpdateMode.REPLACE)


async def read(identity: str) -> dict[int, bytes | None]:
    """By its line, the digest of each order that imports have made of a file; None where the book has no digest."""
    rows = _table().query_entities(
        "PartitionKey ge @first and PartitionKey lt @after",
        parameters={"first": f"{identity}-", "after": f"{identity}."},
        select=["PartitionKey", "RowKey", "made"],
    )
    found: dict[int, bytes | None] = {}
    async for row in rows:
        if made := row.get("made"):
            found |= _ORDER.iter_unpack(made)
        elif row["RowKey"].startswith(ROW) and (line := line_of(row["PartitionKey"], identity)) is not None:
            found.setdefault(line, None)
    return found


def _table() -> TableClient:
    return clients().table("orders")
