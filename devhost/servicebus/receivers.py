"""A client's receiver: messages from a queue go to it as it has credit, and what it says of them to the queue."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any
from uuid import UUID

from devhost.servicebus.amqp import frames
from devhost.servicebus.amqp.link import SETTLED
from devhost.servicebus.amqp.outgoing import OutgoingDelivery, OutgoingLink
from devhost.servicebus.amqp.types import Described
from devhost.servicebus.broker import Broker
from devhost.servicebus.delivery import Delivery
from devhost.servicebus.errors import NotImplementedByBusError, ServiceBusError
from devhost.servicebus.queue import MessageQueue
from devhost.servicebus.sessions import SessionLock

_REASON, _DESCRIPTION = "DeadLetterReason", "DeadLetterErrorDescription"
_ABANDONED = frames.modified_outcome(is_failed=True, is_undeliverable=False)
_DEFERRED = frames.modified_outcome(is_failed=True, is_undeliverable=True)


class Receiver:
    """The bus's end of a receiver's link; a Consumer of its queue."""

    def __init__(
        self, broker: Broker, queue: MessageQueue, link: OutgoingLink, session: SessionLock | None = None
    ) -> None:
        self.settles = link.send_settle_mode == SETTLED
        self.session = session
        self._broker = broker
        self._queue = queue
        self._link = link

    @property
    def credit(self) -> int:
        """How many more messages the client takes now."""
        return self._link.room

    # for the queue

    def deliver(self, delivery: Delivery) -> None:
        """Send a message."""
        link, token = self._link, delivery.token
        payload = delivery.message.encode(
            delivery_count=delivery.delivery_count, annotations=delivery.annotations(), lock_token=token
        )
        link.take_credit()
        if token is not None:
            link.transfer(payload, token.bytes_le, False, token)
        else:  # received and deleted: it must be gone from the disk before anybody can have it
            tag = delivery.sequence_number.to_bytes(16, "big")
            self._broker.when_committed(partial(link.transfer, payload, tag, True))

    def lost(self, error: ServiceBusError) -> None:
        """The session's lock or the entity is gone."""
        self._link.detach(error.condition, str(error))

    # for the link

    def credited(self) -> None:
        """The client takes messages; when it drains, what there is and then no more."""
        self._queue.wake(self)
        if self._link.is_draining:
            self._broker.when_committed(self._link.finish_drain)

    def settled(self, delivery: OutgoingDelivery, outcome: int, fields: list[Any]) -> None:
        """The client has said what becomes of a message (servicebus-amqp.md §7)."""
        try:
            answer = self._apply(delivery.context, outcome, fields)
        except ServiceBusError as error:
            delivery.settle(frames.rejected_outcome(error.condition, str(error)))
        else:
            self._broker.when_committed(partial(delivery.settle, answer))

    def detached(self) -> None:
        """The client is gone. Locks of messages last until they expire; a session is free at once."""
        self._queue.detach(self)
        if self.session is not None:
            self._queue.release_session(self.session)

    def _apply(self, token: UUID, outcome: int, fields: list[Any]) -> bytes:
        queue = self._queue
        if outcome == frames.ACCEPTED:
            queue.complete(token)
            return frames.ACCEPTED_OUTCOME
        if outcome == frames.RELEASED:
            queue.release(token)
            return frames.RELEASED_OUTCOME
        if outcome == frames.MODIFIED:
            is_failed, is_undeliverable, annotations = (fields + [None] * 3)[:3]
            properties = _text_keys(annotations)
            if is_undeliverable:
                queue.defer(token, properties)
                return _DEFERRED
            if is_failed or properties:
                queue.abandon(token, properties)
            else:
                queue.release(token)
            return _ABANDONED if is_failed else frames.modified_outcome(is_failed=False, is_undeliverable=False)
        if outcome == frames.REJECTED:
            error = fields[0].value if fields and isinstance(fields[0], Described) else []
            info = _text_keys(error[2] if isinstance(error, list) and len(error) > 2 else None)
            reason, description = info.pop(_REASON, None), info.pop(_DESCRIPTION, None)
            queue.dead_letter(token, reason, description, info)
            return frames.REJECTED_OUTCOME
        raise NotImplementedByBusError(
            f"The local Service Bus does not know the outcome 0x{outcome:x}; it has no transactions, for example."
        )


def _text_keys(entries: Any) -> dict[str, Any]:
    """A map of the client's as application properties; None values say nothing."""
    if not isinstance(entries, Mapping):
        return {}
    return {str(key): value for key, value in entries.items() if value is not None}
