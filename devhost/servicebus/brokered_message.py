"""A message while a broker has it: what its producer sent, and what the broker knows of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import UUID

from devhost.servicebus.delivery import Delivery, MessageState

if TYPE_CHECKING:
    from devhost.servicebus.lane import Lane
    from devhost.servicebus.message import Message


class BrokeredMessage:
    """One message in one queue. Times in ms since 1970. It keeps its row in the store when it moves."""

    __slots__ = (
        "row_id",
        "queue_id",
        "message",
        "size",
        "sequence_number",
        "enqueued_sequence_number",
        "enqueued_at",
        "expires_at",
        "scheduled_at",
        "delivery_count",
        "state",
        "dead_letter_source",
        "hops",
        "lane",
        "token",
        "locked_until",
        "appointment",
        "is_stored",
    )

    def __init__(self, row_id: int, message: Message) -> None:
        self.row_id = row_id
        self.queue_id = 0
        self.message = message
        self.size: int = message.size
        self.sequence_number = 0
        """0: no entity has given it a number yet."""
        self.enqueued_sequence_number: int | None = None
        self.enqueued_at = 0
        self.expires_at: int | None = None
        self.scheduled_at: int | None = None
        self.delivery_count = 0
        self.state = MessageState.ACTIVE
        self.dead_letter_source: str | None = None
        self.hops = 0
        self.lane: Lane | None = None
        self.token: UUID | None = None
        self.locked_until: int | None = None
        self.appointment: list[Any] | None = None
        """What the agenda holds for it: the end of its lock, else of its life, else of its waiting."""
        self.is_stored = False
        """Whether the store has a row of it, perhaps an older one. For the store alone."""

    def renumber(self, sequence_number: int) -> None:
        """Another entity, or the end of its waiting, gives it a new number; the first one stays known."""
        if self.sequence_number and self.enqueued_sequence_number is None:
            self.enqueued_sequence_number = self.sequence_number
        self.sequence_number = sequence_number

    def change_properties(self, changes: dict[str, Any]) -> None:
        """Set application properties of this copy."""
        self.message = self.message.with_application_properties(changes)

    def to_delivery(self) -> Delivery:
        """How it looks now."""
        return Delivery(
            self.message,
            self.sequence_number,
            self.enqueued_at,
            self.enqueued_sequence_number,
            self.delivery_count,
            self.token,
            self.locked_until,
            self.state,
            self.dead_letter_source,
            self.scheduled_at,
        )
