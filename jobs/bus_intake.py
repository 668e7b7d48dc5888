"""The intake of the Service Bus queue `jobs`: a job is entered and handed on, never done while its message is held.

The bus delivers a message that failed again at once, so all its attempts would be gone in the second that a service is
away. What may have to wait is left to an orchestration or to a storage queue, which both can.
"""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

from azure.core.exceptions import AzureError
from azure.durable_functions import DurableOrchestrationClient

from jobs import dead_letters, intake, ledger
from jobs.clients import clients
from jobs.errors import InvalidInputError, JobNotFoundError, MaxDeliveryCountExceededError, PermanentError
from jobs.job import CORRELATION_ID, Job, id_of_message, open_envelope, parse

QUEUE = "jobs"
SOURCE = f"servicebus:{QUEUE}"
ENTITY_NAME = r"[A-Za-z0-9][A-Za-z0-9._/-]{0,259}"


@dataclass(frozen=True)
class BusDelivery:
    """One delivery of a message, and what the bus says of it."""

    message_id: str | None
    sequence_number: int
    enqueued_at: datetime
    attempt: int
    is_last: bool
    """Whether the bus dead-letters the message when this delivery fails."""
    correlation_id: str | None = None
    reply_to: str | None = None

    @property
    def job_id(self) -> str:
        """The id of the job, unless its body says another."""
        return id_of_message(self.message_id, self.sequence_number, self.enqueued_at)


async def receive(body: bytes, delivery: BusDelivery, durable: DurableOrchestrationClient) -> None:
    """Take a job from a message. What can never be a job is buried at once, and costs this one attempt.

    The job's own `correlationId` goes before the CorrelationId of its message, which may be an envelope of somebody
    else's making; one that is no correlation id of ours (see `jobs.job`) is not taken. Returns when the message is
    settled, raises when it should be delivered again; after its last delivery a job that was entered is Failed.
    """
    try:
        await _take(body, delivery, durable)
    except PermanentError as error:
        message_id = delivery.message_id or delivery.job_id
        await dead_letters.bury_message(SOURCE, message_id, body, error, attempts=delivery.attempt)


async def _take(body: bytes, delivery: BusDelivery, durable: DurableOrchestrationClient) -> None:
    fields = intake.fields_of(body)
    if isinstance(fields, dict):
        if "handOver" in fields:
            # The app's own word on a job that is in the ledger: what it says is judged where all of them come.
            await _pass_on(body)
            return
        fields.setdefault("id", delivery.job_id)
        fields.setdefault("enqueuedAt", ledger.written(delivery.enqueued_at))
        if delivery.correlation_id and re.fullmatch(CORRELATION_ID, delivery.correlation_id):
            fields.setdefault("correlationId", delivery.correlation_id)
    job = parse(open_envelope(fields), source=SOURCE, reply_to=_reply_to(delivery))
    try:
        await intake.submit(job, durable)
    except PermanentError:
        raise
    except Exception:
        if delivery.is_last:
            await _give_up(job, delivery)
        raise


def _reply_to(delivery: BusDelivery) -> str | None:
    """Where the sender waits for a reply. Raises InvalidInputError, lest it wait in vain."""
    if not delivery.reply_to:
        return None
    if not re.fullmatch(ENTITY_NAME, delivery.reply_to):
        raise InvalidInputError("the ReplyTo of the message is not right: it is the name of a Service Bus queue")
    return delivery.reply_to


async def _pass_on(body: bytes) -> None:
    await clients().provide()
    await clients().queue(QUEUE).send_message(body.decode())


async def _give_up(job: Job, delivery: BusDelivery) -> None:
    """Fail a job that was entered and could not be started: its message, now among the dead, can be replayed."""
    error = MaxDeliveryCountExceededError(f"{delivery.attempt} deliveries could not start it: see the host's log")
    # What keeps the row from being written is what kept the job from being started; then it stays Pending.
    with suppress(AzureError, JobNotFoundError):
        entry = await ledger.get(job.kind.name, job.id)
        if entry.state == ledger.PENDING:
            await ledger.give_up(entry, error.to_dict())
