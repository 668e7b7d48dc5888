"""The order book outlasts the ledger: an id whose order is in the book is taken, also when its job's row is gone.

A job that has such an id would have the idempotency keys of the old one: what it takes back would be what that one has
sold. An order that was withdrawn has nothing left to take back.

Table `orders`: a partition an order, with a row for each run of its job that confirmed it, one for what was asked to
change of it (`jobs.order_changes`), and one for each of its refunds (`jobs.refunds`). And a partition an imported file,
with what was ordered of it (`jobs.import_book`).
"""

from __future__ import annotations

from collections.abc import AsyncIterator

from azure.data.tables import TableEntity

from jobs.clients import clients
from jobs.entry import JobRef
from jobs.errors import PermanentError
from jobs.ledger import written

CONFIRMED, HANDED_OVER, WITHDRAWN = "Confirmed", "HandedOver", "Withdrawn"
ROW = "order"
"""The key of an order's row; that of a later run of its job is made from it by `JobRef.of_run`."""


class OrderMissingError(PermanentError):
    """The order is not in the book."""


async def is_taken(job: JobRef) -> bool:
    """Whether the book has an order of that id that another job has sold."""
    return any([_is_of_another(row, job) async for row in rows_of(job.id)])


def rows_of(order_id: str) -> AsyncIterator[TableEntity]:
    """The order's rows, one for each run of its job that confirmed or withdrew it."""
    query = "PartitionKey eq @id and RowKey ge @row and RowKey le @last"
    parameters = {"id": order_id, "row": ROW, "last": f"{ROW}~~"}
    return clients().table("orders").query_entities(query, parameters=parameters)


def _is_of_another(row: TableEntity, job: JobRef) -> bool:
    if row["state"] == WITHDRAWN:
        return False
    if "submittedAt" in row:
        return row["submittedAt"] != job.submitted_at
    # An older version of the app confirmed it: if it was before the job came, it was for another.
    return written(row.metadata["timestamp"]) < job.submitted_at
