"""A job that is one activity, done while its queue message is held: the queue repeats it, the ledger does it once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from jobs import bodies, ending, ledger, telemetry
from jobs.call import Call
from jobs.catalog import Kind
from jobs.clients import clients
from jobs.entry import COMPLETED, FAILED, Entry
from jobs.errors import (
    DeadlineExceededError,
    JobBusyError,
    JobError,
    JobFinishedError,
    SettingMissingError,
    TransientError,
)
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

    @property
    def source(self) -> str:
        """What statuses and dead letters call the queue."""
        return f"storage:{self.queue}"


async def run(
    kind: Kind, job: JobRef, payload: dict[str, Any], delivery: Delivery, keep: Callable[[], Awaitable[None]]
) -> None:
    """Do the job, unless it is done or another message's delivery is doing it.

    Returns when the job has ended, well or for good badly: then it is buried. Raises when the message should be
    delivered again. `keep` is called before the job fails, and keeps what starts it again.
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
            if error.retryable and not delivery.is_last:
                raise
            await keep()
            await _conclude(await ending.enter(job, begun, FAILED, error=error.to_dict()), delivery)
        else:
            await _conclude(await ending.enter(job, begun, COMPLETED, result=result), delivery)


async def _conclude(entry: Entry | None, delivery: Delivery) -> None:
    """Bury what has failed, or have it wait for the Service Bus in the poison queue, whose relay tries until it is."""
    if entry is None:
        return
    try:
        await ending.conclude(entry)
    except (TransientError, SettingMissingError) as error:
        telemetry.burial_postponed(error)
        starts_it_again = await bodies.read(bodies.of_job(entry.job))
        await clients().queue(f"{delivery.queue}-poison").send_message(starts_it_again.decode())


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
