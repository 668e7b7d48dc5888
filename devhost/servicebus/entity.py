"""A queue or subscription as a whole: how messages get in, and how they get from its queue to others."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from devhost.servicebus.brokered_message import BrokeredMessage
from devhost.servicebus.delivery import MessageState
from devhost.servicebus.descriptions import QueueDescription, SubscriptionDescription
from devhost.servicebus.errors import EntityDisabledError, EntityNotFoundError, ServiceBusError
from devhost.servicebus.namespace import Namespace
from devhost.servicebus.queue import MessageQueue
from devhost.servicebus.target import Target

MAX_HOPS = 4
"""How often a message is forwarded (servicebus-amqp.md §7)."""
MAX_HEADER_SIZE = 64 * 1024
"""How many bytes header and properties of a message may have to be forwarded."""
REASON = "DeadLetterReason"
DESCRIPTION = "DeadLetterErrorDescription"

QUEUES_PER_ENTITY = 4
"""An entity's id times this is its queue's, then come its dead-letter and its transfer dead-letter queue."""


class QueueEntity(Target):
    """A queue with its sub-queues. A subscription is one too, but only its topic sends to it."""

    description: QueueDescription | SubscriptionDescription

    def __init__(
        self,
        entity_id: int,
        path: str,
        description: QueueDescription | SubscriptionDescription,
        namespace: Namespace,
    ) -> None:
        super().__init__(entity_id, namespace)
        self.path = path
        self.description = description
        first = entity_id * QUEUES_PER_ENTITY
        self.queue = MessageQueue(first, path, description, namespace, self._move_on, self._bury)
        self.dead_letters = MessageQueue(
            first + 1, f"{path}/$DeadLetterQueue", description, namespace, self._move_dead_letter_on
        )
        self.transfer_dead_letters = MessageQueue(
            first + 2, f"{path}/$Transfer/$DeadLetterQueue", description, namespace, lambda message: False
        )
        self.queues = (self.queue, self.dead_letters, self.transfer_dead_letters)
        self.log = self.queue.log

    @property
    def requires_session(self) -> bool:
        """Whether each message must have a session id."""
        return self.queue.requires_session

    @property
    def size_in_bytes(self) -> int:
        """Of all its queues."""
        return sum(queue.log.size_in_bytes for queue in self.queues)

    # --- arrival ----------------------------------------------------------------------------------------------------

    def accept(self, message: BrokeredMessage, ttl: int | None = None) -> None:
        """Number it, and hand it out or forward it. `ttl` is the topic's limit in ms."""
        now = self._namespace.now()
        description = self.description
        message.renumber(self.log.next_number())
        message.enqueued_at = now
        message.delivery_count = 0
        limits = [limit for limit in (message.message.ttl, description.default_ttl, ttl) if limit is not None]
        message.expires_at = now + min(limits) if limits else None
        if self.requires_session and message.message.session_id is None:
            self._bury(message, "Session ID is null.", f"'{self.path}' requires sessions.", {})
        elif description.forward_to:
            self._forward(message)
        else:
            self.queue.admit(message)

    def restore(self, message: BrokeredMessage) -> None:
        """A message that was in one of the queues before a restart."""
        self.queues[message.queue_id % QUEUES_PER_ENTITY].restore(message)
        if message.state is MessageState.SCHEDULED:
            self.wait(message)

    def _hold(self, message: BrokeredMessage) -> None:
        self.queue.admit(message)

    def _let_go(self, message: BrokeredMessage) -> None:
        self.queue.take(message)

    def _drop(self, message: BrokeredMessage) -> None:
        self.queue.discard(message)

    # --- dead letters and forwarding --------------------------------------------------------------------------------

    def _bury(
        self, message: BrokeredMessage, reason: str | None, description: str | None, properties: Mapping[str, Any]
    ) -> None:
        """Put a message that is in no queue into the dead-letter queue, or send it where that is forwarded."""
        why = {name: text for name, text in ((REASON, reason), (DESCRIPTION, description)) if text is not None}
        message.change_properties({**properties, **why})
        message.state = MessageState.ACTIVE
        message.expires_at = None
        if self.description.forward_dead_letters_to:
            self._forward_dead_letter(message, self.description.forward_dead_letters_to)
        else:
            self.dead_letters.admit(message)

    def _forward(self, message: BrokeredMessage) -> None:
        to = self.description.forward_to
        assert to is not None
        if message.hops >= MAX_HOPS:
            text = f"The message was forwarded {message.hops} times; '{self.path}' would forward it again."
            self._bury(message, "MaxTransferHopCountExceeded", text, {})
            return
        if message.message.head_size > MAX_HEADER_SIZE:
            text = f"Header and properties have {message.message.head_size} bytes; {MAX_HEADER_SIZE} can be forwarded."
            self._bury(message, "HeaderSizeExceeded", text, {})
            return
        try:
            target = self._namespace.find_target(to)
            target.check_transfer(message.message)
        except ServiceBusError as error:
            message.change_properties({REASON: type(error).__name__.removesuffix("Error"), DESCRIPTION: str(error)})
            message.expires_at = None
            self.transfer_dead_letters.admit(message)
        else:
            message.hops += 1
            target.receive_transfer(message)

    def _forward_dead_letter(self, message: BrokeredMessage, to: str) -> None:
        # What cannot be sent on stays here with the reason it has: there is no better place to find it.
        try:
            target = self._namespace.find_target(to)
            target.check_transfer(message.message)
        except ServiceBusError:
            target = None
        if target is None or message.hops >= MAX_HOPS or message.message.head_size > MAX_HEADER_SIZE:
            self.dead_letters.admit(message)
        else:
            message.hops += 1
            message.dead_letter_source = self.path
            target.receive_transfer(message)

    def _move_on(self, message: BrokeredMessage) -> bool:
        """What is in the queue although the entity forwards: it was there, or locked, when forwarding was set."""
        if not self.description.forward_to:
            return False
        self.queue.take(message)
        self._forward(message)
        return True

    def _move_dead_letter_on(self, message: BrokeredMessage) -> bool:
        to = self.description.forward_dead_letters_to
        if not to:
            return False
        self.dead_letters.take(message)
        self._forward_dead_letter(message, to)
        return True

    # --- changes ----------------------------------------------------------------------------------------------------

    def change(self, description: QueueDescription | SubscriptionDescription) -> None:
        """Go by another description from now on."""
        self.description = description
        for queue in self.queues:
            queue.description = description
        if description.status in ("Disabled", "ReceiveDisabled"):
            self.dismiss(EntityDisabledError(f"'{self.path}' was set to {description.status}."))
        for message in self.queue.available():
            self._move_on(message)
        for message in self.dead_letters.available():
            self._move_dead_letter_on(message)

    def clear(self) -> None:
        """Drop all messages, session states and seen message ids."""
        for queue in self.queues:
            queue.clear()
        self.duplicates.clear()

    def dismiss(self, error: ServiceBusError) -> None:
        """Send all receivers away."""
        for queue in self.queues:
            queue.dismiss(error)

    def delete(self) -> None:
        """It is no more."""
        self.dismiss(EntityNotFoundError(f"'{self.path}' was deleted."))
        self.clear()
        self.log.delete()
