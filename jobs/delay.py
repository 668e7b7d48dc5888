"""Delay: a job that must not start yet waits in the ledger, and a message that the Service Bus holds back starts it.

The row is entered first, the message is scheduled second. A crash in between leaves the sender without an answer, so it
submits the job once more, which schedules it once more: of two such messages one starts the job. The first time that
was named counts, and the status shows it: who wants another cancels the job and takes a new id. A storage queue would
hold a message back for seven days at most.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from jobs import clock, scheduled_messages, telemetry
from jobs.entry import JobRef

LONGEST = timedelta(days=366)
"""A year, also one with a 29 February in it."""


def is_early(job: JobRef) -> bool:
    """Whether the job must not start yet."""
    return job.not_before is not None and datetime.fromisoformat(job.not_before) > clock.now()


async def schedule(job: JobRef, message: bytes, *, came_at: str | None = None) -> None:
    """Have the Service Bus deliver the message that starts the job when its time has come.

    `came_at`: the bus's time at which the message became available, when it has come too early from there. Then the
    bus's clock is ahead of ours, and would have it delivered too early again and again.
    Raises ServiceBusUnavailableError, SettingMissingError.
    """
    due = datetime.fromisoformat(job.not_before)
    if came_at is not None:
        due = max(due, datetime.fromisoformat(came_at) + (due - clock.now()))
    # The wire has whole milliseconds, and the client cuts off what is more.
    due += timedelta(milliseconds=1)
    await scheduled_messages.send_with_others(scheduled_messages.message(job, message, due))
    telemetry.job_delayed(job)
