"""A job that is one activity, done while its queue message is held: the queue repeats it, the ledger does it once."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

from jobs import ledger, results, telemetry
from jobs.call import Call
from jobs.catalog import Kind
from jobs.errors import DeadlineExceededError, JobBusyError, JobError, JobFinishedError, TransientError
from jobs.ledger import JobRef


@dataclass(frozen=True)
class Delivery:
    """One delivery of a queue message. `message_id` stays the same when the message is delivered again."""

    queue: str
    message_id: str
    attempt: int
    is_last: bool
    """Whether the host moves the message to the poison queue when this delivery fails."""
    inserted_at: str | None = None


async def run(kind: Kind, job: JobRef, payload: dict[str, Any], delivery: Delivery) -> None:
    """Do the job, unless it is done or another message's delivery is doing it.

    Returns when the job has ended, well or for good badly. Raises when the message should be delivered again; after its
    last delivery the job is Failed and the message goes to the poison queue.
    """
    try:
        begun = await ledger.begin(job, runner=delivery.message_id, attempt=delivery.attempt)
    except (JobFinishedError, JobBusyError):
        return
    with telemetry.about(job):
        try:
            result = await _do(kind, Call(job, kind.name, payload, delivery.attempt))
        except JobError as error:
            telemetry.step_failed(error, attempt=delivery.attempt)
            if delivery.is_last or not error.retryable:
                await ledger.end(job, begun, ledger.FAILED, error=error.to_dict())
            if error.retryable:
                raise
        else:
            await ledger.end(job, begun, ledger.COMPLETED, **await results.store(job, result))


async def _do(kind: Kind, call: Call) -> Any:
    """Run the activity. Whatever goes wrong is a JobError."""
    seconds = kind.deadline.total_seconds()
    try:
        async with asyncio.timeout(seconds):
            return await kind.activity(call)
    except JobError:
        raise
    except TimeoutError as error:
        raise DeadlineExceededError(f"a {kind.name} job may take {seconds:.0f} s") from error
    except Exception as error:
        # The text of an unforeseen error might hold input, and a status must not.
        raise UnexpectedError(f"{type(error).__name__} in {kind.name}: see the host's log") from error


class UnexpectedError(TransientError):
    """The activity failed in a way that nobody foresaw: worth another try, but no more is known."""
