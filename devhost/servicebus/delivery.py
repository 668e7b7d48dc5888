"""What a queue hands out, and what it asks of those who take it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, Protocol
from uuid import UUID

from devhost.servicebus.errors import ServiceBusError

if TYPE_CHECKING:
    from devhost.servicebus.message import Message
    from devhost.servicebus.sessions import SessionLock


class MessageState(IntEnum):
    """`x-opt-message-state`."""

    ACTIVE = 0
    DEFERRED = 1
    SCHEDULED = 2


@dataclass(slots=True, eq=False)
class Delivery:
    """A message as it looked when it was handed out. Times in ms since 1970."""

    message: Message
    sequence_number: int
    enqueued_at: int
    enqueued_sequence_number: int | None
    """The first number it had, when it was forwarded or had been scheduled."""
    delivery_count: int
    """Failed deliveries so far."""
    token: UUID | None
    """The lock; None when the message was peeked at or is gone from the queue."""
    locked_until: int | None
    state: MessageState
    dead_letter_source: str | None
    """The path of the entity in which it was dead-lettered, when it was forwarded from there."""
    scheduled_at: int | None

    def annotations(self) -> dict[str, int | str | None]:
        """What the broker says about the message (servicebus-amqp.md §6), for Message.encode. None: not said."""
        return {
            "x-opt-sequence-number": self.sequence_number,
            "x-opt-enqueued-time": self.enqueued_at,
            "x-opt-locked-until": self.locked_until,
            "x-opt-message-state": self.state,
            "x-opt-enqueue-sequence-number": self.enqueued_sequence_number,
            "x-opt-scheduled-enqueue-time": self.scheduled_at,
            "x-opt-deadletter-source": self.dead_letter_source,
        }


class Consumer(Protocol):
    """A receiver's link, as a queue sees it."""

    credit: int
    """How many more messages it takes at the moment."""
    settles: bool
    """Whether a message is gone as soon as it is handed out (receive-and-delete)."""
    session: SessionLock | None

    def deliver(self, delivery: Delivery) -> None:
        """Take a message, and lower the credit by one."""

    def lost(self, error: ServiceBusError) -> None:
        """The entity or the session is not there for this consumer any more; it is detached already."""
