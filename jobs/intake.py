"""The intake: a job is entered in the ledger and handed to what does it, once, however often it comes and wherever.

The ledger's row decides. It is inserted first; what does the job is started second. A crash in between leaves the row
Pending and the sender without an answer, so the job is delivered or submitted once more, and started then.
"""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass, replace
from typing import Any
from uuid import uuid4

from azure.durable_functions import DurableOrchestrationClient

from jobs import claim_check, dead_letters, ledger, single_activity, strict_json
from jobs.catalog import kind_named
from jobs.clients import clients
from jobs.errors import JobConflictError, JobNotFoundError, NotAJobError, PermanentError, TransientError
from jobs.job import Envelope, Job, open_envelope, parse
from jobs.ledger import Entry
from jobs.single_activity import Delivery

BASE64_OF_AN_OBJECT = re.compile(rb"e[wy][A-Za-z0-9+/\r\n]*={0,2}\s*")
"""What many queue clients send unless told otherwise: the encoded beginning of a JSON object."""


@dataclass(frozen=True)
class Submission:
    """What became of a submission: the job's row, and whether this submission made it."""

    entry: Entry
    is_new: bool


async def submit(job: Job, durable: DurableOrchestrationClient) -> Submission:
    """Accept a job that need not be done before the answer.

    Raises JobConflictError when the id is taken by a job with another input.
    """
    submission = await _enter(job)
    if submission.entry.state == ledger.PENDING:
        ref = submission.entry.job
        if job.kind.orchestrator:
            await _start(job, ref, durable, may_exist=not submission.is_new)
        else:
            await _enqueue(job, ref)
    return submission


async def receive(body: bytes, delivery: Delivery, durable: DurableOrchestrationClient) -> None:
    """Take a job from a queue message: start its orchestration, or do its single activity at once.

    A message that can never be a job (no JSON, unknown kind, wrong input, an id that is taken) costs this one attempt.
    Returns when the message is settled, raises when it should be delivered again.
    """
    try:
        await _take(body, delivery, durable)
    except PermanentError as error:
        await dead_letters.park(delivery.queue, delivery.message_id, body, error)


async def _take(body: bytes, delivery: Delivery, durable: DurableOrchestrationClient) -> None:
    envelope = open_envelope(_with_defaults(body, delivery))
    if envelope.hand_over:
        await _take_over(envelope, delivery)
        return
    job = parse(envelope)
    if job.kind.orchestrator:
        await submit(job, durable)
        return
    submission = await _enter(job)
    if not submission.entry.is_final:
        await single_activity.run(
            job.kind, replace(submission.entry.job, claim=None), job.input.model_dump(by_alias=True), delivery
        )


async def _enter(job: Job) -> Submission:
    await clients().provide()
    entry, is_new = await ledger.submit(job.ref, job.digest)
    if entry.digest != job.digest:
        raise JobConflictError(
            f"{job.kind.name} job {job.id!r} exists with another input: send the same input again, or take a new id"
        )
    return Submission(entry, is_new)


async def _start(job: Job, ref: ledger.JobRef, durable: DurableOrchestrationClient, *, may_exist: bool) -> None:
    if may_exist and await _instance_exists(durable, ref.instance_id):
        return
    if ref.claim:
        await claim_check.write(ref.claim, job.content)
    arguments = {
        "job": asdict(ref),
        "input": job.travelling_input,
        "deadlineSeconds": job.kind.deadline.total_seconds(),
    }
    try:
        await durable.start_new(job.kind.orchestrator, ref.instance_id, arguments)
    except Exception as error:
        # Of several submissions at once one starts the instance; the SDK tells the others by a bare Exception.
        if not await _instance_exists(durable, ref.instance_id):
            raise TransientError("the orchestration could not be started: see the host's log") from error


async def _instance_exists(durable: DurableOrchestrationClient, instance_id: str) -> bool:
    return bool(await durable.get_status(instance_id))


async def _enqueue(job: Job, ref: ledger.JobRef) -> None:
    if ref.claim:
        await claim_check.write(ref.claim, job.content)
    message = {
        "kind": ref.kind,
        "id": ref.id,
        "correlationId": ref.correlation_id,
        "input": job.travelling_input,
        "handOver": uuid4().hex,
    }
    queue = "jobs-urgent" if job.priority == "urgent" else "jobs"
    await clients().queue(queue).send_message(strict_json.canonical(message).decode())


async def _take_over(envelope: Envelope, delivery: Delivery) -> None:
    kind = kind_named(envelope.kind)
    try:
        entry = await ledger.get(kind.name, envelope.id)
    except JobNotFoundError:
        entry = None
    if entry is None or kind.activity is None:
        raise NotAJobError('"handOver" is for the app itself: leave it out')
    if not entry.is_final:
        await single_activity.run(kind, entry.job, envelope.input, replace(delivery, message_id=envelope.hand_over))


def fields_of(body: bytes) -> Any:
    """What a job message says. Raises NotAJobError when it is not plain JSON."""
    if BASE64_OF_AN_OBJECT.fullmatch(body):
        raise NotAJobError("the message looks like base64: this app's queues take plain JSON, so send it unencoded")
    return strict_json.loads(body)


def _with_defaults(body: bytes, delivery: Delivery) -> Any:
    fields = fields_of(body)
    if isinstance(fields, dict):
        fields.setdefault("id", delivery.message_id)
        fields.setdefault("enqueuedAt", delivery.inserted_at)
    return fields
