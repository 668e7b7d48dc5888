"""How the orders of an import begin: messages in the Service Bus queue `jobs`, spread over time.

The queue holds each back until its order is due, so that an import of any size leaves room for other orders.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from jobs import scheduled_messages, strict_json
from jobs.errors import SettingMissingError
from jobs.ledger import JobRef
from jobs.settings import settings

HAND_OVER = "import"


def due(begin: datetime, row: int) -> datetime:
    """When the order of a row (from 0) is to begin, in an import that began at `begin`. Raises SettingMissingError."""
    rate = settings().import_orders_per_second
    if rate <= 0:
        raise SettingMissingError("the app setting IMPORT_ORDERS_PER_SECOND must be more than 0: leave it out for 10")
    return begin + timedelta(seconds=row / rate)


async def send(orders: Sequence[tuple[JobRef, datetime]]) -> None:
    """Send the messages that begin these orders, each at its moment. A repeated message begins nothing twice.

    Raises ServiceBusUnavailableError, SettingMissingError: some may not have been sent.
    """
    if orders:
        await scheduled_messages.send([scheduled_messages.message(job, _body(job), at) for job, at in orders])


def _body(job: JobRef) -> bytes:
    fields = {"kind": job.kind, "id": job.id, "correlationId": job.correlation_id, "handOver": HAND_OVER}
    return strict_json.canonical(fields)
