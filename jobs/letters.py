"""A dead letter: what is said of a failure, as it goes to the Service Bus and as it is found there.

It says who, why and since when, and never what: the body waits in a blob, or in a message that the bus itself has
dead-lettered (see `jobs.bodies`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from pydantic.alias_generators import to_camel

from jobs import bodies, strict_json
from jobs.bodies import BodyMissingError
from jobs.catalog import KINDS
from jobs.errors import LetterNotFoundError, NotAJobError
from jobs.inputs import IDENTIFIER
from jobs.ledger import written

if TYPE_CHECKING:
    from azure.servicebus import ServiceBusMessage, ServiceBusReceivedMessage

POISON_JOBS = "poison-jobs"
"""No function listens to it: what is sent there is moved to its dead-letter queue, with its reason (`jobs.mover`)."""
NATIVE = ("jobs", "order-events", "deliveries")
"""Queues whose messages the bus itself dead-letters."""
QUEUES = (POISON_JOBS, *NATIVE)

MAX_DEQUEUE_COUNT_EXCEEDED = "MaxDequeueCountExceeded"
MAX_DELIVERY_COUNT_EXCEEDED = "MaxDeliveryCountExceeded"
"""The bus's own reason (servicebus-amqp.md §7)."""
LONGEST = 300
LONGEST_OF = {"description": 1000, "source": 1200}
"""Characters, more than any name has that can be one: senders choose some of them, and a message takes 64 KB of
properties (servicebus-amqp.md §5)."""


@dataclass(frozen=True)
class Letter:
    """What is said of one failure. All of it may be seen by whoever may see dead letters."""

    source: str
    """Where it came from: `http`, `storage:<queue>`, `servicebus:<queue>` or `blob:<container>/<name>`."""
    message_id: str
    """Of the message that failed; of a job that failed, its `ledger.Entry.failure`."""
    reason: str
    description: str
    kind: str | None = None
    job_id: str | None = None
    correlation_id: str | None = None
    attempts: int = 1
    first_seen: str | None = None
    """ISO 8601."""
    error_type: str | None = None
    session_id: str | None = None
    reply_to: str | None = None
    reply_session: str | None = None
    body: str | None = None
    """The blob that holds the body (see `jobs.bodies`)."""

    def to_message(self, id: str) -> ServiceBusMessage:
        """The message for `poison-jobs`. The bus drops a second one of the same id (`RequiresDuplicateDetection`)."""
        from azure.servicebus import ServiceBusMessage

        said = {to_camel(field.name): getattr(self, field.name) for field in fields(self)}
        properties = {name: _text(name, value) for name, value in said.items() if value is not None}
        properties["attempts"] = self.attempts
        return ServiceBusMessage(b"", message_id=id, subject=self.reason, application_properties=properties)


@dataclass(frozen=True)
class DeadLetter:
    """One message of a dead-letter queue."""

    id: str
    """`<queue>-<sequence number>`."""
    queue: str
    sequence_number: int
    letter: Letter
    enqueued_at: str
    """ISO 8601: when it was sent to its queue."""
    content: bytes | None = None
    """The body of a message that has no letter: the bus itself has dead-lettered it, or it is none of the app's."""

    async def body(self) -> bytes:
        """What failed, byte by byte; it may be sensitive. Raises BodyMissingError."""
        if self.content is not None:
            return self.content
        if self.letter.body is None:
            raise BodyMissingError("it has no bytes: it was sent as an AMQP value or sequence, so discard it")
        return await bodies.read(self.letter.body)

    def to_dict(self) -> dict[str, Any]:
        """What may be shown: all but the body."""
        said = {to_camel(field.name): getattr(self.letter, field.name) for field in fields(self.letter)}
        del said["body"]
        return {"id": self.id, "queue": self.queue, "enqueuedAt": self.enqueued_at, **said}


def place(letter_id: str) -> tuple[str, int]:
    """Queue and sequence number in a letter's id. Raises LetterNotFoundError."""
    queue, _, number = letter_id.rpartition("-")
    if queue not in QUEUES or not re.fullmatch("[0-9]{1,18}", number):
        raise LetterNotFoundError(
            f"no dead letter can have that id: it is a queue ({', '.join(QUEUES)}), '-' and a number"
        )
    return queue, int(number)


def digest(*parts: str | bytes | None) -> str:
    """One name for all of the parts, from which none can be read."""
    encoded = (part if isinstance(part, bytes) else (part or "").encode() for part in parts)
    return sha256(b"".join(sha256(part).digest() for part in encoded)).hexdigest()[:32]


def said_of(message: ServiceBusReceivedMessage) -> dict[str, str]:
    """What a letter's message says, by the camelCase name of each field: all text, whoever wrote it."""
    found = {_decoded(name): value for name, value in (message.application_properties or {}).items()}
    return {name: _text(name, found[name]) for name in map(to_camel, _FIELDS) if found.get(name) is not None}


def read(queue: str, message: ServiceBusReceivedMessage) -> DeadLetter:
    """The letter in a message of that queue's dead-letter queue."""
    enqueued_at = _iso(message.enqueued_time_utc)
    place = {"id": f"{queue}-{message.sequence_number}", "queue": queue, "sequence_number": message.sequence_number}
    said = said_of(message)
    if queue == POISON_JOBS and said.get("source") and said.get("body", "").startswith((bodies.MESSAGES, bodies.JOBS)):
        known: dict[str, Any] = {name: said[to_camel(name)] for name in _FIELDS if to_camel(name) in said}
        known["attempts"] = int(said["attempts"]) if re.fullmatch("[0-9]{1,9}", said.get("attempts", "")) else 0
        return DeadLetter(**place, letter=Letter(**_WITHOUT | known), enqueued_at=enqueued_at)
    content = _content(message)
    letter = Letter(
        source=f"servicebus:{queue}",
        message_id=str(message.message_id or f"{message.sequence_number}@{enqueued_at}"),
        reason=message.dead_letter_reason or "Unknown",
        description=message.dead_letter_error_description or "",
        attempts=message.delivery_count or 0,
        first_seen=enqueued_at,
        session_id=message.session_id,
        reply_to=message.reply_to,
        reply_session=message.reply_to_session_id,
        **identify(content or b"", message.session_id),
    )
    return DeadLetter(**place, letter=letter, enqueued_at=enqueued_at, content=content)


def identify(body: bytes, session_id: str | None = None) -> dict[str, str]:
    """`kind`, `job_id` and `correlation_id` of a message, each only if it can be one and not a secret.

    A message in a session is an order event, and the session is its order.
    """
    if session_id is not None:
        return _order(session_id)
    try:
        message = strict_json.loads(body)
    except NotAJobError:
        return {}
    if not isinstance(message, dict) or message.get("kind") not in tuple(KINDS):
        return {}
    ids = {"job_id": message.get("id"), "correlation_id": message.get("correlationId")}
    good = {name: id for name, id in ids.items() if isinstance(id, str) and re.fullmatch(IDENTIFIER, id)}
    return {"kind": message["kind"], **good}


def _order(session_id: str) -> dict[str, str]:
    if re.fullmatch(IDENTIFIER, session_id):
        return {"kind": "order", "job_id": session_id}
    return {}


_FIELDS = tuple(field.name for field in fields(Letter))
_WITHOUT = {"message_id": "", "reason": "Unknown", "description": ""}


def _text(name: str, value: Any) -> str:
    return str(_decoded(value))[: LONGEST_OF.get(name, LONGEST)]


def _decoded(value: Any) -> Any:
    """The SDK gives text as bytes."""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


def _content(message: ServiceBusReceivedMessage) -> bytes | None:
    """The bytes of a message; None when it was sent as something else."""
    body = message.body
    try:
        return body if isinstance(body, bytes) else b"".join(body)
    except TypeError:
        return None


def _iso(moment: datetime | None) -> str:
    return written(moment or datetime.fromtimestamp(0, UTC))
