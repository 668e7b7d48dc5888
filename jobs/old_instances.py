"""Durable instances past their age that no job leads to: sub-orchestrations, and what was started past the app.

Durable tells them by their time only, so those go as well of jobs that stay for longer: such a job is shown without its
steps then, and replayed in an instance of its own.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from azure.durable_functions import DurableOrchestrationClient, OrchestrationRuntimeStatus

from jobs.ages import Ages
from jobs.erasing import Eraser

DAYS = 7
"""So many days are purged one by one, since a purge of many instances may time out; then all that is older."""
ENDED = [
    OrchestrationRuntimeStatus.Completed,
    OrchestrationRuntimeStatus.Failed,
    OrchestrationRuntimeStatus.Terminated,
]


async def erase(
    eraser: Eraser, ages: Ages, continuation: int | None, durable: DurableOrchestrationClient
) -> int | None:
    """Erase those that ended and were created on one day. Returns the number of the next, None at the end."""
    number = continuation or 0
    until = ages.failed - timedelta(days=number)
    since = until - timedelta(days=1) if number < DAYS else datetime(2000, 1, 1, tzinfo=UTC)
    if eraser.dry_run:
        eraser.counts["instances"] += len(await durable.get_status_by(since, until, ENDED))
    else:
        eraser.counts["instances"] += (await durable.purge_instance_history_by(since, until, ENDED)).instances_deleted
    return number + 1 if number < DAYS else None
