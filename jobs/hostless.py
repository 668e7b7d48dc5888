"""A job that is one activity, done in this process: for a scheduler or a container platform that starts programs.

Neither a host nor a queue is needed, only storage. The ledger and the dead letters are those of the hosts.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial

from jobs import delay, intake, ledger, single_activity
from jobs.catalog import Kind
from jobs.errors import JobError, PermanentError, TransientError
from jobs.job import Job
from jobs.ledger import Entry
from jobs.retry import RetryPolicy
from jobs.settings import settings
from jobs.single_activity import Delivery

RUNNER = "hostless"
"""The same in each process, so that the next one goes on with a job whose process was killed."""
PAUSES = RetryPolicy(cap=30.0)


class NeedsHostError(PermanentError):
    """A job of this kind is an orchestration."""


class NotNowError(TransientError):
    """A host is doing the job, or its time has not come."""


def must_be_one_activity(kind: Kind) -> None:
    """Raises NeedsHostError."""
    if kind.activity is None:
        raise NeedsHostError(
            f"a job of kind {kind.name} has several steps, whose order and timers Durable Functions keep: it needs a "
            f"host. Drop it into a queue (`python -m jobs send {kind.name} …`), or POST it to /api/jobs/{kind.name}"
        )


async def run(job: Job, *, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep) -> Entry:
    """Do the job, with as many attempts as a queue would give it, and return how it ended.

    A job that has ended before is not done again. Two processes must not do the same job at once; if they do, its
    effects carry the same key.
    Raises NeedsHostError; JobConflictError when the id is taken by a job with another input; NotNowError.
    """
    must_be_one_activity(job.kind)
    entry = (await intake.enter(job)).entry
    if delay.is_early(entry.job):
        raise NotNowError(
            f"{job.kind.name} job {job.id!r} must not start before {entry.job.not_before}: a host will do it"
        )
    whole, keep = job.input.model_dump(by_alias=True), partial(intake.keep_whole, job, entry)
    attempts = settings().max_dequeue_count
    for attempt in range(1, attempts + 1):
        # Its source is the queue that a replay puts it back into.
        delivery = Delivery("jobs", RUNNER, attempt, is_last=attempt == attempts)
        try:
            await single_activity.run(job.kind, replace(entry.job, claim=None), whole, delivery, keep)
            break
        except JobError as error:
            await sleep(PAUSES.pause(entry.job.instance_id, attempt, error.retry_after).total_seconds())
    entry = await ledger.get(job.kind.name, job.id)
    if not entry.is_final:
        raise NotNowError(f"a host is doing {job.kind.name} job {job.id!r} at this moment: look at it later")
    return entry
