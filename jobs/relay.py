"""The relay: what the host moved to a poison queue, because it failed every time, is buried with its reason.

The host copies nothing but the text (functions-host.md §4), so the relay reads it once more. What can never be a job is
buried for that, as it would have been at its first attempt had the Service Bus been there. What is a job has failed,
unless only this message has, and somebody else does the job or has done it.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass

from azure.durable_functions import DurableOrchestrationClient

from jobs import (
    bodies,
    dead_letters,
    delivery,
    ending,
    failures,
    hand_over,
    intake,
    job_message,
    ledger,
    strict_json,
    telemetry,
)
from jobs.catalog import kind_named
from jobs.errors import (
    JobConflictError,
    JobNotFoundError,
    MaxDequeueCountExceededError,
    NotAJobError,
    PermanentError,
)
from jobs.job import Envelope, parse
from jobs.job_message import BASE64_OF_AN_OBJECT
from jobs.ledger import Entry, Run
from jobs.settings import settings


@dataclass(frozen=True)
class Poison:
    """One message of a poison queue."""

    queue: str
    """The queue from which the host moved it."""
    message_id: str
    """Its own: that of the message that failed is lost."""
    body: bytes
    inserted_at: str | None = None

    @property
    def source(self) -> str:
        """What statuses and dead letters call the queue."""
        return f"storage:{self.queue}"


async def relay(poison: Poison, durable: DurableOrchestrationClient) -> None:
    """Bury a message that should have been a job.

    Raises when it should be delivered again: it stays in the poison queue for as long as it is not buried.
    """
    try:
        envelope = job_message.read(poison.body, poison.message_id, poison.inserted_at)
        entry = await _entry(envelope)
    except PermanentError as error:
        await _bury(poison, error)
        return
    if entry is None:
        await _bury(poison, _worn_out())
    elif await _is_needless(envelope, entry, durable):
        # Whoever did it may have been killed, in the last attempt, after it had entered the end and before it told it.
        await delivery.deliver(entry)
        telemetry.poison_ignored(poison.source, poison.message_id, f"its job is {entry.state}")
    else:
        await ending.conclude(await _failed(envelope, entry))


async def relay_blob(poison: Poison) -> None:
    """Bury a blob whose function failed every time; the message names it (functions-host.md §5)."""
    body = _decoded(poison.body)
    try:
        fields = strict_json.loads(body)
        container, name, tag = (str(fields[field]) for field in ("ContainerName", "BlobName", "ETag"))
    except (NotAJobError, KeyError, TypeError):
        await _bury(poison, NotAJobError("the message names no blob: only the host should write into this queue"))
        return
    await dead_letters.bury_message(
        f"blob:{container}/{name}",
        tag,
        body,
        _worn_out(),
        attempts=settings().max_dequeue_count,
        first_seen=poison.inserted_at,
    )


async def _entry(envelope: Envelope) -> Entry | None:
    """The job's row, or None when no attempt came so far. Raises the PermanentError for which it can be no job."""
    if envelope.hand_over:
        return (await hand_over.job_of(envelope))[1]
    job = parse(envelope)
    try:
        entry = await ledger.get(job.kind.name, job.id)
    except JobNotFoundError:
        return None
    if entry.digest != job.digest:
        raise JobConflictError(f"{job.kind.name} job {job.id!r} exists with another input")
    return entry


async def _is_needless(envelope: Envelope, entry: Entry, durable: DurableOrchestrationClient) -> bool:
    """Whether the job has ended well, or somebody else is doing it or is to do it."""
    if entry.is_final:
        return entry.state != ledger.FAILED
    if failures.is_of_an_earlier_run(envelope.hand_over, entry):
        return True
    if kind_named(entry.job.kind).orchestrator:
        return entry.state == ledger.RUNNING or bool(await durable.get_status(entry.job.instance_id))
    return entry.state == ledger.RUNNING and envelope.hand_over not in (None, entry.runner)


async def _failed(envelope: Envelope, entry: Entry) -> Entry:
    """The job's row when it has failed. Whoever did it was killed in the last attempt, so its end is entered here."""
    if not entry.is_final:
        if envelope.hand_over:
            await bodies.keep_job(entry.job, envelope.input)
        else:
            await intake.keep_whole(parse(envelope), entry)
        run = Run(entry.started_at, entry.tag, settings().max_dequeue_count)
        ended = await ending.enter(entry.job, run, ledger.FAILED, error=_worn_out().to_dict())
        return ended or await ledger.get(entry.job.kind, entry.job.id)
    return entry


async def _bury(poison: Poison, error: PermanentError | MaxDequeueCountExceededError) -> None:
    await dead_letters.bury_message(
        poison.source,
        poison.message_id,
        poison.body,
        error,
        attempts=settings().max_dequeue_count,
        first_seen=poison.inserted_at,
    )


def _worn_out() -> MaxDequeueCountExceededError:
    count = settings().max_dequeue_count
    return MaxDequeueCountExceededError(f"it was tried {count} times and failed every time: see the host's log")


def _decoded(body: bytes) -> bytes:
    """The host writes this queue in an encoding of its own."""
    return base64.b64decode(body) if BASE64_OF_AN_OBJECT.fullmatch(body) else body
