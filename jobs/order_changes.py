"""What was asked to change of an order: one row beside the order's own in the book, so that one transaction takes both.

Until the parcel is handed over, the newest address is entered here; the hand-over reads it and closes the row in the
transaction that hands over. So a change either is in the parcel or finds the row closed and is refused.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from azure.core.exceptions import ResourceNotFoundError
from azure.data.tables import EdmType, EntityProperty, TableTransactionError, UpdateMode
from azure.data.tables.aio import TableClient

from jobs.clients import clients
from jobs.etags import if_match

ROW = "changes"
OVERTAKEN = (409, 412)
"""What storage answers when somebody made or changed a row of the transaction since it was read."""

Operation = tuple[Any, ...]


@dataclass(frozen=True)
class Changes:
    """The row of one order as it was read, or what stands for a row that is not there yet."""

    order_id: str
    sequence: int = 0
    """The number of the newest event that was applied."""
    address: str | None = None
    """The claim that holds the newest address (see `jobs.claim_check`); None: it is the one that was ordered with."""
    parcel: str | None = None
    """The instance id of the job whose parcel is on its way: its address can no longer be changed."""
    tag: str | None = None
    """The row's ETag; None: there is no row."""

    def applied(self, sequence: int, address: str | None = None) -> Operation:
        """One operation of a transaction: an event was applied. It fails when the row is no more as it was read."""
        values: dict[str, Any] = {"sequence": EntityProperty(sequence, EdmType.INT64)}
        return self._changed(values if address is None else values | {"address": address})

    def closed(self, parcel: str) -> Operation:
        """One operation of a transaction: the parcel of that instance is on its way. It fails as `applied` does."""
        return self._changed({"parcel": parcel})

    def _changed(self, values: dict[str, Any]) -> Operation:
        row = {"PartitionKey": self.order_id, "RowKey": ROW, **values}
        if self.tag is None:
            return "create", row
        guard = {"mode": UpdateMode.MERGE, **if_match(self.tag)}
        return "update", row, guard


async def read(order_id: str) -> Changes:
    """What has been changed of the order so far."""
    try:
        row = await _table().get_entity(order_id, ROW)
    except ResourceNotFoundError:
        return Changes(order_id)
    sequence = row["sequence"].value if "sequence" in row else 0
    return Changes(order_id, sequence, row.get("address"), row.get("parcel"), row.metadata["etag"])


async def enter(*operations: Operation) -> bool:
    """Do all of the operations, or none and return False because somebody was quicker: read again, then."""
    try:
        await _table().submit_transaction(operations)
    except TableTransactionError as error:
        if error.status_code in OVERTAKEN:
            return False
        raise
    return True


def _table() -> TableClient:
    return clients().table("orders")
