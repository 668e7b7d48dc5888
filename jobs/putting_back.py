"""Putting back: how what failed is started again where it came from, so that it happens once however often it is tried.

A message goes back to its queue as it was. A blob, of which the host cannot be told once more, goes as a job message
into the queue `jobs`. Of a job that has failed, the ledger's row is opened again, and the message that starts it says
no more than which job it is.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from azure.core.exceptions import ResourceNotFoundError

from jobs import (
    bodies,
    delivery,
    failures,
    intake,
    job_message,
    ledger,
    letters,
    order_events,
    replay_count,
    strict_json,
    uploads,
)
from jobs.catalog import kind_named
from jobs.clients import clients
from jobs.entry import OPEN_COMPENSATIONS
from jobs.errors import JobNotFoundError, ReplayRefusedError
from jobs.inputs import IDENTIFIER
from jobs.ledger import Entry
from jobs.letters import DeadLetter, Letter
from jobs.links import Link, links

if TYPE_CHECKING:
    from azure.servicebus import ServiceBusReceivedMessage

JOB_QUEUES = ("storage:jobs", "storage:jobs-urgent", "servicebus:jobs")
"""Where a message is a job, and its id the job's if it names no other."""
QUEUES = (*JOB_QUEUES, order_events.SOURCE, delivery.SOURCE)


async def put_back(message: ServiceBusReceivedMessage, dead: DeadLetter) -> str:
    """Start what failed again, and return where it went. After an interruption it is harmless to do it again.

    Raises ReplayRefusedError, BodyMissingError, UnknownKindError.
    """
    letter = dead.letter
    if letter.body and letter.body.startswith(bodies.JOBS):
        return await _run_again(dead)
    is_blob = letter.source.startswith("blob:")
    if not is_blob and letter.source not in QUEUES:
        raise ReplayRefusedError(f"it came by no door of the app, which are {', '.join(QUEUES)} and blobs: discard it")
    body = await dead.body()
    if letter.source in JOB_QUEUES:
        body = job_message.with_id(body, letter.message_id, awaits_reply=letter.reply_to is not None)
    elif letter.source == delivery.SOURCE:
        body = delivery.afresh(body)
    where = JOB_QUEUES[0] if is_blob else letter.source
    to_send = await _about_blob(letter.source.removeprefix("blob:")) if is_blob else body
    await replay_count.enter(dead.id, letters.digest(letter.source, letter.session_id, body))
    await _send(where, to_send, dead, message)
    return where


async def _run_again(dead: DeadLetter) -> str:
    """Put back a job. The ledger knows how far an earlier try of this replay has come."""
    letter = dead.letter
    where = letter.source if letter.source in JOB_QUEUES else JOB_QUEUES[0]
    was_undone = kind_named(letter.kind).orchestrator is not None
    # Before the job is opened: without its message it would wait for ever.
    fields = json.loads(await dead.body())
    entry = await _entry(letter)
    left_open = (entry.error or {}).get(OPEN_COMPENSATIONS)
    if left_open and entry.failure == letter.message_id:
        raise ReplayRefusedError(
            f"{', '.join(left_open)} failed when the job was undone: settle that by hand, submit the job under a new "
            "id and discard this dead letter"
        )
    await replay_count.enter(dead.id, letters.digest(letter.source, letter.kind, letter.job_id))
    while entry.failure == letter.message_id:
        # What an orchestration did was undone and must be done anew; an activity may have done its work unseen.
        entry = await failures.reopen(entry, in_new_run=was_undone) or await _entry(letter)
    if entry.state == ledger.PENDING and entry.reopened_by == letter.message_id:
        fields["handOver"] = failures.hand_over_after(letter.message_id)
        await _send(where, strict_json.canonical(fields), dead)
    # Otherwise it was put back before, and has begun since.
    return where


async def _entry(letter: Letter) -> Entry:
    try:
        if not re.fullmatch(IDENTIFIER, letter.job_id or ""):
            raise JobNotFoundError("there is no job of that id")
        return await ledger.get(letter.kind, letter.job_id)
    except JobNotFoundError as error:
        raise ReplayRefusedError(f"{error}: was its row deleted? Submit it, and discard this dead letter") from None


async def _send(where: str, body: bytes, dead: DeadLetter, original: ServiceBusReceivedMessage | None = None) -> None:
    door, _, queue = where.partition(":")
    if door == "storage":
        await clients().queue(queue).send_message(body.decode("utf-8", "replace"))
        return
    from azure.servicebus import ServiceBusMessage

    is_native = original is not None and dead.content is not None
    message = ServiceBusMessage(
        body,
        # The same in each try of this replay, and another in the next: what fails again is another failure.
        message_id=letters.digest("replay", dead.id),
        session_id=dead.letter.session_id,
        reply_to=dead.letter.reply_to,
        reply_to_session_id=dead.letter.reply_session,
        correlation_id=original.correlation_id if is_native else dead.letter.correlation_id,
    )
    async with links().lent(Link(queue, sends=True)) as sender:
        await sender.send_messages(message)


async def _about_blob(place: str) -> bytes:
    """The job message for the blob as it is now; if its trigger has told of that version since, it is the same job."""
    container, _, name = place.partition("/")
    if container not in uploads.KINDS:
        raise ReplayRefusedError(
            f"blobs in {container} become no jobs, only those in {' and '.join(uploads.KINDS)} do: upload it there, "
            "and discard this dead letter"
        )
    try:
        found = await clients().container(container).get_blob_client(name).get_blob_properties()
    except ResourceNotFoundError:
        raise ReplayRefusedError(f"the blob {place} is gone: upload it, and discard this dead letter") from None
    # Its row says where its outcome is told, which may be secret: the message does not.
    await intake.enter(uploads.job_of(container, name, found))
    return strict_json.canonical(uploads.message(container, name, found.etag))
