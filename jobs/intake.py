"""The intake: a job is entered in the ledger and handed to what does it, once, however often it comes and wherever.

The ledger's row decides. It is inserted first; what does the job is started second. A crash in between leaves the row
Pending and the sender without an answer, so the job is delivered or submitted once more, and started then.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial

from azure.durable_functions import DurableOrchestrationClient

from jobs import (
    bodies,
    claim_check,
    dead_letters,
    delay,
    ending,
    hand_over,
    import_hand_over,
    instances,
    job_message,
    ledger,
    pacing,
    single_activity,
)
from jobs.clients import clients
from jobs.delivery import check_asked
from jobs.errors import JobConflictError, PermanentError
from jobs.job import Envelope, Job, Priority, parse
from jobs.ledger import Entry, JobRef
from jobs.single_activity import Delivery

URGENT = "jobs-urgent"
"""The queue that no backlog of `jobs` holds up."""


@dataclass(frozen=True)
class Submission:
    """What became of a submission: the job's row, and whether this submission made it."""

    entry: Entry
    is_new: bool


async def submit(job: Job, durable: DurableOrchestrationClient) -> Submission:
    """Accept a job that need not be done before the answer.

    Raises JobConflictError when the id is taken by a job with another input.
    """
    submission = await enter(job)
    await _hand_on(job, submission.entry, durable, may_exist=not submission.is_new)
    return submission


async def enqueue(job: Job) -> Submission:
    """Accept a job where there is no Durable client: a message in the queue `jobs` starts it, whosever turn it is.

    Raises JobConflictError when the id is taken by a job with another input.
    """
    submission = await enter(job)
    if submission.entry.state == ledger.PENDING:
        # Once more for one that is not new: whoever made it may have been killed before it sent the message.
        await _enqueue(await hand_over.message(job, submission.entry.job), job.priority)
    return submission


@dataclass(frozen=True)
class BusDelivery:
    """One delivery of a Service Bus message: what the bus says of it."""

    queue: str
    message_id: str
    attempt: int
    is_last: bool
    """Whether the bus dead-letters the message when this delivery fails."""
    enqueued_at: str | None = None
    """ISO 8601."""
    correlation_id: str | None = None
    reply_to: str | None = None
    reply_correlation_id: str | None = None
    """The message's id, if its sender gave it one."""
    reply_session: str | None = None

    @property
    def source(self) -> str:
        """What statuses and dead letters call the queue."""
        return f"servicebus:{self.queue}"


async def receive(body: bytes, delivery: Delivery, durable: DurableOrchestrationClient) -> None:
    """Take a job from a storage queue: start its orchestration, or do its single activity at once.

    A message that can never be a job (no JSON, unknown kind, wrong input, an id that is taken) costs this one attempt.
    Returns when the message is settled, raises when it should be delivered again.
    """
    try:
        await _take(body, delivery, durable)
    except PermanentError as error:
        await dead_letters.bury_message(
            delivery.source,
            delivery.message_id,
            body,
            error,
            attempts=delivery.attempt,
            first_seen=delivery.inserted_at,
        )


async def receive_from_bus(body: bytes, delivery: BusDelivery, durable: DurableOrchestrationClient) -> None:
    """Take a job from a Service Bus queue: start its orchestration, or hand its single activity on to a storage queue.

    The bus delivers a message again at once, which would burn all attempts of an activity before anything got better.
    What can never be a job costs one attempt. Raises when the message should be delivered again.
    """
    try:
        await _take_from_bus(body, delivery, durable)
    except PermanentError as error:
        await dead_letters.bury_message(
            delivery.source,
            delivery.message_id,
            body,
            error,
            attempts=delivery.attempt,
            first_seen=delivery.enqueued_at,
            reply_to=delivery.reply_to,
            reply_session=delivery.reply_session,
        )
    except Exception as error:
        if delivery.is_last:
            dead_letters.give_up(delivery.source, delivery.message_id, body, error, attempts=delivery.attempt)
        raise


async def _take(body: bytes, delivery: Delivery, durable: DurableOrchestrationClient) -> None:
    envelope = job_message.read(body, delivery.message_id, delivery.inserted_at)
    if envelope.hand_over:
        await _take_over(body, envelope, delivery, durable)
        return
    if delivery.queue == URGENT:
        # So that it is urgent still when its time has come.
        envelope = envelope.model_copy(update={"priority": "urgent"})
    job = parse(envelope, source=delivery.source)
    entry = (await enter(job)).entry
    if await _is_settled(entry, delivery.message_id):
        return
    if job.kind.orchestrator or delay.is_early(entry.job):
        await _hand_on(job, entry, durable, may_exist=True)
        return
    # The whole input is here, so its claim is written only if the job fails.
    whole, keep = job.input.model_dump(by_alias=True), partial(keep_whole, job, entry)
    await single_activity.run(job.kind, replace(entry.job, claim=None), whole, delivery, keep)


async def _take_from_bus(body: bytes, delivery: BusDelivery, durable: DurableOrchestrationClient) -> None:
    reply = {"replyTo": delivery.reply_to}
    if delivery.reply_to:
        reply |= {"replyCorrelationId": delivery.reply_correlation_id, "replySession": delivery.reply_session}
    envelope = job_message.read(body, delivery.message_id, delivery.enqueued_at, delivery.correlation_id, reply)
    if envelope.hand_over:
        kind, entry = await hand_over.job_of(envelope)
        if await _is_settled(entry):
            return
        if delay.is_early(entry.job):
            await delay.schedule(entry.job, body, came_at=delivery.enqueued_at)
        elif kind.orchestrator:
            await _start_again(envelope, entry, durable)
        else:
            await _enqueue(body, envelope.priority)
        return
    job = parse(envelope, source=delivery.source)
    submission = await enter(job)
    if not await _is_settled(submission.entry):
        await _hand_on(job, submission.entry, durable, may_exist=not submission.is_new)


async def keep_whole(job: Job, entry: Entry) -> None:
    """Keep what starts a job again whose message had its whole input, sensitive or not."""
    if entry.job.claim:
        await claim_check.write(entry.job.claim, job.content)
    await bodies.keep_job(entry.job, job.travelling_input)


async def _is_settled(entry: Entry, runner: str | None = None) -> bool:
    """Whether the job has ended. If it has failed, and an earlier delivery could not bury it, it is buried now.

    `runner`: this message. If it has done the job, it has come again because it could not tell how it ended.
    """
    if entry.is_final:
        await (ending.conclude if runner and entry.runner == runner else dead_letters.bury_job)(entry)
    return entry.is_final


async def _hand_on(job: Job, entry: Entry, durable: DurableOrchestrationClient, *, may_exist: bool) -> None:
    if entry.state != ledger.PENDING:
        return
    if delay.is_early(entry.job):
        await delay.schedule(entry.job, await hand_over.message(job, entry.job))
    elif not job.kind.orchestrator:
        await _enqueue(await hand_over.message(job, entry.job), job.priority)
    elif not (pacing.must_wait(entry, job.priority) and await _hold_back(job, entry)):
        await _start(job, entry.job, durable, may_exist=may_exist)


async def _hold_back(job: Job, entry: Entry) -> bool:
    return await pacing.hold_back(entry.job, entry.held_until, await hand_over.message(job, entry.job))


async def enter(job: Job) -> Submission:
    """Enter a job in the ledger, and start nothing. Raises JobConflictError when its id has another input."""
    check_asked(job)
    await clients().provide()
    is_new, turn = False, pacing.take_turn(job)
    try:
        entry, is_new = await ledger.submit(job.ref, job.digest, job.asked | ({"heldUntil": turn} if turn else {}))
    finally:
        if not is_new:
            pacing.give_back(job)
    if entry.digest != job.digest:
        raise JobConflictError(
            f"{job.kind.name} job {job.id!r} exists with another input: send the same input again, or take a new id"
        )
    return Submission(entry, is_new)


async def _start(job: Job, ref: JobRef, durable: DurableOrchestrationClient, *, may_exist: bool) -> None:
    if may_exist and await instances.exists(ref, durable):
        return
    if ref.claim:
        await claim_check.write(ref.claim, job.content)
    await instances.start(job, ref, durable)


async def _enqueue(message: bytes, priority: Priority) -> None:
    queue = URGENT if priority == "urgent" else "jobs"
    await clients().queue(queue).send_message(message.decode())


async def _take_over(body: bytes, envelope: Envelope, delivery: Delivery, durable: DurableOrchestrationClient) -> None:
    kind, entry = await hand_over.job_of(envelope)
    if await _is_settled(entry, envelope.hand_over):
        return
    if delay.is_early(entry.job):
        await delay.schedule(entry.job, body)
        return
    if kind.orchestrator:
        await _start_again(envelope, entry, durable)
        return
    delivery = replace(delivery, message_id=envelope.hand_over)
    keep = partial(bodies.keep_job, entry.job, envelope.input)
    await single_activity.run(kind, entry.job, envelope.input, delivery, keep)


async def _start_again(envelope: Envelope, entry: Entry, durable: DurableOrchestrationClient) -> None:
    if entry.state != ledger.PENDING or await instances.exists(entry.job, durable):
        return
    if entry.job.claim:
        envelope = envelope.model_copy(update={"input": await claim_check.read(entry.job.claim)})
    job = parse(envelope)
    has_pace = entry.held_until is not None or envelope.hand_over == import_hand_over.HAND_OVER
    if not has_pace and (turn := pacing.take_turn(job)):
        # Many may have waited for the same moment, or have been replayed at once.
        held = await ledger.merge(entry.job, entry.tag, {"heldUntil": turn})
        if held and await pacing.hold_back(entry.job, turn, await hand_over.message(job, entry.job)):
            return
    await instances.start(job, entry.job, durable)
