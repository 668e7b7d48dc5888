"""Delivery: how a job has ended is told to whoever asked for it, at the end of every job, whichever way it came.

What is owed is entered with the end itself, in one write. Then a message for each channel goes into the Service Bus
queue `deliveries`, and it is owed no longer; what a crash or an outage leaves owed, the watchdog hands over. One
message is one try. What fails is tried again by another message, which the bus holds back, in growing pauses; what
could not be told for DELIVERY_LIFETIME, or is refused for good, becomes a dead letter. The job's outcome stays.

After a crash in between a try is made once more: under the same id, by which the receiver knows it again. The message
for the next try has the same id, too, so the bus drops the repetition, and there is one chain of tries.
"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from jobs import (
    callback_guard,
    callbacks,
    channels,
    clock,
    dead_letters,
    events,
    ledger,
    letters,
    outcome_mail,
    replies,
    strict_json,
    telemetry,
)
from jobs.channels import CALLBACK, DELIVERED, EVENT, FAILED, MAIL, NOT_TRIED, PENDING, REPLY
from jobs.entry import Entry
from jobs.errors import (
    InvalidInputError,
    JobError,
    JobNotFoundError,
    NotAJobError,
    PermanentError,
    ServiceBusUnavailableError,
    SettingMissingError,
)
from jobs.ledger import written
from jobs.links import Link, links
from jobs.settings import settings

if TYPE_CHECKING:
    from jobs.job import Job

QUEUE = "deliveries"
SOURCE = f"servicebus:{QUEUE}"
TO_QUEUE = Link(QUEUE, sends=True)
GROWTH = 3.0
"""By so much each pause is longer than the one before."""
JITTER = 0.1
"""A pause is up to so much of it longer, so that what failed together is not tried again together."""
LARGEST_POWER = 50
"""Beyond it, no pause grows: it has long been cut off."""

Tell = Callable[[Entry, str], Awaitable[None]]
Name = Annotated[str, Field(max_length=300)]


async def _tell_event(entry: Entry, id: str) -> None:
    await events.ended(entry)


TELL: dict[str, Tell] = {
    CALLBACK: callbacks.send,
    REPLY: replies.send,
    MAIL: outcome_mail.send,
    EVENT: _tell_event,
}
"""By channel, what tells it once. Each raises the JobError for which it could not."""


@dataclass(frozen=True)
class Message:
    """One delivery of a message of the queue: what the bus says of it."""

    message_id: str
    attempt: int
    is_last: bool
    """Whether the bus dead-letters the message when this delivery fails."""
    enqueued_at: str | None = None
    """ISO 8601."""


class Errand(BaseModel):
    """What a message says: which end of which job is to be told by which channel. Nothing of it is sensitive."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    kind: Name
    id: Name
    channel: Literal["callback", "reply", "mail", "event"]
    end: Name
    chain: Name | None = None
    """The id of the first of the messages that try it: a replay begins another chain."""
    since: datetime | None = None
    """When the first try was."""
    attempt: Annotated[int, Field(ge=1, le=1_000_000)] = 1


def check_asked(job: Job) -> None:
    """Refuse a job whose outcome could not be told where it asks for it, rather than have the sender wait in vain.

    Raises InvalidInputError, SettingMissingError.
    """
    if job.callback_url is not None:
        try:
            callback_guard.check(job.callback_url)
        except ValueError as error:
            field = {"field": "callbackUrl", "message": str(error)}
            raise InvalidInputError(f"the job is not right: callbackUrl: {error}", [field]) from None
        callbacks.signer()
    if (job.callback_url or job.reply_to) and not job.source.startswith("servicebus:"):
        settings().service_bus_address()


async def deliver(entry: Entry) -> None:
    """Tell how the job has ended, or have it told later. Done twice, it is told once more under the same id.

    Raises JobNotFoundError.
    """
    if not entry.is_final:
        return
    if EVENT not in entry.deliveries:
        try:
            await events.ended(entry)
        except (ServiceBusUnavailableError, SettingMissingError) as error:
            telemetry.delivery_postponed(entry.job, error)
            await channels.enter(entry, {EVENT: NOT_TRIED}, owed=True)
            return
    try:
        await hand_over(entry)
    except (ServiceBusUnavailableError, SettingMissingError) as error:
        telemetry.delivery_postponed(entry.job, error)


async def hand_over(entry: Entry) -> None:
    """Send the messages by which what is owed is told, and enter that it is owed no longer.

    Raises ServiceBusUnavailableError, SettingMissingError: it is owed still. Raises JobNotFoundError.
    """
    if not entry.is_owed:
        return
    async with links().lent(TO_QUEUE) as sender:
        for channel, said in entry.deliveries.items():
            if said["state"] == PENDING and not said["attempts"]:
                errand = Errand(kind=entry.job.kind, id=entry.job.id, channel=channel, end=entry.ending)
                await sender.send_messages(_message(errand, _id(entry, channel)))
    await channels.enter(entry, {}, owed=False)


async def receive(body: bytes, message: Message) -> None:
    """Make one try. Returns when the message is settled, raises when it should be delivered again."""
    try:
        errand = read(body)
    except PermanentError as error:
        await dead_letters.bury_message(
            SOURCE, message.message_id, body, error, attempts=message.attempt, first_seen=message.enqueued_at
        )
        return
    try:
        await _try(errand, message)
    except Exception as error:
        if message.is_last:
            dead_letters.give_up(SOURCE, message.message_id, body, error, attempts=message.attempt)
        raise


def read(body: bytes) -> Errand:
    """What a message says. Raises NotAJobError."""
    try:
        return Errand.model_validate(strict_json.loads(body))
    except ValidationError:
        raise NotAJobError("only the app itself writes into this queue: the message is none of its own") from None


def afresh(body: bytes) -> bytes:
    """The message with which a delivery that was given up begins anew. Raises NotAJobError."""
    return _body(read(body).model_copy(update={"chain": None, "since": None, "attempt": 1}))


async def _try(errand: Errand, message: Message) -> None:
    chain = errand.chain or message.message_id
    try:
        entry = await ledger.get(errand.kind, errand.id)
    except JobNotFoundError:
        # Its age was over. Nobody waits any longer.
        telemetry.delivery_ignored(errand.kind, errand.id, errand.channel, "the job is gone")
        return
    said = entry.deliveries.get(errand.channel)
    if entry.ending != errand.end or said is None:
        telemetry.delivery_ignored(errand.kind, errand.id, errand.channel, "the job was run again since")
    elif said["state"] == DELIVERED or (said.get("chain") == chain and said["attempts"] >= errand.attempt):
        telemetry.delivery_ignored(errand.kind, errand.id, errand.channel, "another message has done it")
    else:
        with telemetry.about(entry.job, channel=errand.channel, delivery=_id(entry, errand.channel)):
            begun = errand.model_copy(update={"chain": chain, "since": errand.since or clock.now()})
            await _tell(entry, begun, message)


async def _tell(entry: Entry, errand: Errand, message: Message) -> None:
    said: dict[str, Any] = {"attempts": errand.attempt, "at": ledger.now(), "chain": errand.chain}
    try:
        await TELL[errand.channel](entry, _id(entry, errand.channel))
    except JobError as error:
        said |= {
            "state": await _go_on(entry, errand, message, error),
            "error": {"type": error.type, "message": str(error)},
        }
        telemetry.delivery_failed(error, attempt=errand.attempt, state=said["state"])
    else:
        said["state"] = DELIVERED
        telemetry.delivered(attempt=errand.attempt)
    # Last: until then the message may come again, and is not known yet.
    await channels.enter(entry, {errand.channel: said})


async def _go_on(entry: Entry, errand: Errand, message: Message, error: JobError) -> str:
    """Have it tried again, or bury it. Returns the state of the delivery. Raises ServiceBusUnavailableError."""
    end = errand.since + timedelta(seconds=settings().delivery_lifetime)
    now = clock.now()
    if error.retryable and now < end:
        following = errand.model_copy(update={"attempt": errand.attempt + 1})
        at = min(now + _pause(errand.attempt, error.retry_after), end)
        again = _message(following, f"{errand.chain}.{following.attempt}")
        # The wire has whole milliseconds, and the client cuts off what is more.
        again.scheduled_enqueue_time_utc = at + timedelta(milliseconds=1)
        async with links().lent(TO_QUEUE) as sender:
            await sender.send_messages(again)
        return PENDING
    await dead_letters.bury_message(
        SOURCE,
        message.message_id,
        _body(errand),
        error,
        attempts=errand.attempt,
        first_seen=written(errand.since),
    )
    return FAILED


def _pause(attempt: int, retry_after: float | None) -> timedelta:
    """How long to wait after that many tries; longer when the receiver asked for it."""
    shortest, longest = settings().delivery_first_pause, settings().delivery_longest_pause
    seconds = min(shortest * GROWTH ** min(attempt - 1, LARGEST_POWER), longest)
    return timedelta(seconds=max(seconds * (1 + random.uniform(0, JITTER)), retry_after or 0.0))


def _id(entry: Entry, channel: str) -> str:
    """What the receiver knows the delivery by: the same in all tries, and another for each end of a job."""
    return letters.digest(entry.ending, channel)


def _message(errand: Errand, id: str) -> Any:
    # Imported here because it takes a tenth of a second, and most jobs need none of it.
    from azure.servicebus import ServiceBusMessage

    return ServiceBusMessage(_body(errand), message_id=id, content_type="application/json")


def _body(errand: Errand) -> bytes:
    return strict_json.canonical(errand.model_dump(mode="json", exclude_defaults=True))
