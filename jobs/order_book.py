"""The order book outlasts the ledger: an id whose order is in the book is taken, also when its job's row is gone.

A job that has such an id would have the idempotency keys of the old one: what it takes back would be what that one has
sold. An order that was withdrawn has nothing left to take back.

Table `orders`: a partition an order, with a row for each run of its job that confirmed it.
"""

from __future__ import annotations

from azure.data.tables import TableEntity

from jobs import order_changes
from jobs.clients import clients
from jobs.entry import JobRef
from jobs.ledger import written

WITHDRAWN = "Withdrawn"


async def is_taken(job: JobRef) -> bool:
    """Whether the book has an order of that id that another job has sold."""
    rows = clients().table("orders").query_entities("PartitionKey eq @id", parameters={"id": job.id})
    return any([_is_of_another(row, job) async for row in rows if row["RowKey"] != order_changes.ROW])


def _is_of_another(row: TableEntity, job: JobRef) -> bool:
    if row["state"] == WITHDRAWN:
        return False
    if "submittedAt" in row:
        return row["submittedAt"] != job.submitted_at
    # An older version of the app confirmed it: if it was before the job came, it was for another.
    return written(row.metadata["timestamp"]) < job.submitted_at
