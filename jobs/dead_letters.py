"""Dead letters: whatever fails for good is buried once with its reason, and can be found again.

A letter's body is kept first, then the letter is sent to the Service Bus, and only then does the message leave its
queue, or is the job marked as buried. After a crash in between it is buried again under the same id, and the bus drops
the repetition.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

from jobs import bodies, failures, ledger, letters, telemetry
from jobs.catalog import KINDS
from jobs.clients import clients
from jobs.entry import OPEN_COMPENSATIONS
from jobs.errors import JobError, LetterNotFoundError
from jobs.ledger import Entry
from jobs.letters import DeadLetter, Letter
from jobs.links import Link, links
from jobs.mover import mover

PAGE = 100


async def bury_message(
    source: str,
    message_id: str,
    body: bytes,
    error: JobError,
    *,
    attempts: int = 1,
    first_seen: str | None = None,
    session_id: str | None = None,
    reply_to: str | None = None,
    reply_session: str | None = None,
) -> None:
    """Bury a message that can never be done, for the reason that `error` names. What job it is about, its body may say.

    Raises ServiceBusUnavailableError, SettingMissingError: the message must stay where it is, and be delivered again.
    """
    await clients().provide()
    id = letters.digest(source, message_id, session_id, body)
    letter = Letter(
        source=source,
        message_id=message_id,
        reason=error.type,
        description=str(error),
        attempts=attempts,
        first_seen=first_seen or ledger.now(),
        error_type=error.type,
        session_id=session_id,
        reply_to=reply_to,
        reply_session=reply_session,
        body=await bodies.keep_message(id, body),
        **letters.identify(body, session_id),
    )
    await _send(letter, id)


def give_up(
    source: str, message_id: str, body: bytes, error: Exception, *, attempts: int, session_id: str | None = None
) -> None:
    """Log that the bus is about to dead-letter a message of its own accord: its last delivery ends with `error`."""
    name = error.type if isinstance(error, JobError) else type(error).__name__
    letter = Letter(
        source=source,
        message_id=message_id,
        reason=letters.MAX_DELIVERY_COUNT_EXCEEDED,
        # The text of an unforeseen error might hold input.
        description=str(error) if isinstance(error, JobError) else "see the host's log",
        attempts=attempts,
        error_type=name,
        session_id=session_id,
        **letters.identify(body, session_id),
    )
    telemetry.dead_lettered(letter)


async def bury_job(entry: Entry) -> None:
    """Bury a job that has failed, unless it is buried. Its body was kept before it failed (`bodies.keep_job`).

    Raises ServiceBusUnavailableError, SettingMissingError: it is still to be buried.
    """
    if entry.failure is None or entry.is_buried:
        return
    error = entry.error or {}
    type, description = error.get("type", "Unknown"), error.get("message", "")
    if left_open := error.get(OPEN_COMPENSATIONS):
        description += f"; not undone, so do it by hand: {', '.join(left_open)}"
    letter = Letter(
        source=entry.job.source,
        message_id=entry.failure,
        reason=letters.MAX_DEQUEUE_COUNT_EXCEEDED if _is_worn_out(entry) else type,
        description=description,
        kind=entry.job.kind,
        job_id=entry.job.id,
        correlation_id=entry.job.correlation_id,
        attempts=entry.attempt,
        first_seen=entry.job.submitted_at,
        error_type=type,
        body=bodies.of_job(entry.job),
    )
    await _send(letter, letters.digest(entry.failure))
    await failures.mark_buried(entry)


def _is_worn_out(entry: Entry) -> bool:
    """Whether the job's queue message was delivered as often as it may be, and the job might have been done yet."""
    kind = KINDS.get(entry.job.kind)
    return bool(kind and kind.activity and (entry.error or {}).get("retryable"))


async def _send(letter: Letter, id: str) -> None:
    await mover().move(letter.to_message(id))
    telemetry.dead_lettered(letter)


async def find(
    *, reason: str | None = None, kind: str | None = None, older_than: timedelta | None = None, limit: int | None = None
) -> AsyncIterator[DeadLetter]:
    """Look at dead letters without taking them: queue by queue, those that came first first.

    `older_than`: only those that were sent to their queue so long ago. Raises ServiceBusUnavailableError.
    """
    newest = None if older_than is None else _before(older_than)
    wanted: dict[str, Any] = {"reason": reason, "kind": kind}
    found = 0
    await links().open(*map(_dead, letters.QUEUES))
    for queue in letters.QUEUES:
        async for each in look(queue):
            if limit is not None and found >= limit:
                return
            fits = all(value in (None, getattr(each.letter, name)) for name, value in wanted.items())
            if fits and (newest is None or each.enqueued_at <= newest):
                found += 1
                yield each


async def look(queue: str) -> AsyncIterator[DeadLetter]:
    """Every dead letter of one queue. Raises ServiceBusUnavailableError."""
    page, next_number = [None], 1
    while page:
        # Lent for one page only, since whoever looks may take their time.
        async with links().lent(_dead(queue)) as receiver:
            page = await receiver.peek_messages(PAGE, sequence_number=next_number)
        for message in page:
            yield letters.read(queue, message)
            next_number = message.sequence_number + 1


async def get(letter_id: str) -> DeadLetter:
    """The dead letter of that id. Raises LetterNotFoundError, ServiceBusUnavailableError."""
    queue, number = letters.place(letter_id)
    async with links().lent(_dead(queue)) as receiver:
        found = await receiver.peek_messages(1, sequence_number=number)
    if not found or found[0].sequence_number != number:
        raise LetterNotFoundError(f"there is no dead letter {letter_id}: was it replayed or discarded?")
    return letters.read(queue, found[0])


def _before(span: timedelta) -> str:
    try:
        return ledger.written(datetime.now(UTC) - span)
    except OverflowError:
        # Before the year 1: nothing is so old.
        return ""


def _dead(queue: str) -> Link:
    return Link(queue, dead_letters=True)
