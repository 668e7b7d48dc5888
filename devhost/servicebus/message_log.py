"""The messages of one entity, in memory and in the store, and the numbers it gives them."""

from __future__ import annotations

from devhost.servicebus.brokered_message import BrokeredMessage
from devhost.servicebus.delivery import MessageState
from devhost.servicebus.sequence_index import SequenceIndex
from devhost.servicebus.store import Store


class MessageLog:
    """What an entity holds: every change of a message goes through here, so that it reaches the store."""

    def __init__(self, queue_id: int, store: Store) -> None:
        self.queue_id = queue_id
        self.index = SequenceIndex()
        self.messages = self.index.messages
        self.size_in_bytes = 0
        self.scheduled = 0
        """How many of the messages wait for their time."""
        self.last_number = 0
        self._store = store

    def next_number(self) -> int:
        """A sequence number that no other message of the entity has had."""
        self.last_number += 1
        self._store.save_number(self.queue_id, self.last_number)
        return self.last_number

    def add(self, message: BrokeredMessage) -> None:
        """A message that has its number."""
        message.queue_id = self.queue_id
        self.restore(message)
        self._store.put(message)

    def restore(self, message: BrokeredMessage) -> None:
        """A message that the store has already."""
        message.size = message.message.size
        self._count(message, 1)
        self.index.add(message)

    def save(self, message: BrokeredMessage) -> None:
        """Something about it has changed that must survive."""
        self.size_in_bytes += message.message.size - message.size
        message.size = message.message.size
        self._store.put(message)

    def take(self, message: BrokeredMessage) -> None:
        """It goes to another log, which will save it."""
        self.index.remove(message)
        self._count(message, -1)

    def remove(self, message: BrokeredMessage) -> None:
        """It is done with."""
        self.index.remove(message)
        self._count(message, -1)
        self._store.remove(message)

    def clear(self) -> None:
        """Nothing is left; the numbers go on."""
        self.messages.clear()
        self.size_in_bytes = self.scheduled = 0
        self._store.remove_messages(self.queue_id)

    def delete(self) -> None:
        """There is no such entity any more."""
        self.clear()
        self._store.remove_number(self.queue_id)

    def _count(self, message: BrokeredMessage, sign: int) -> None:
        self.size_in_bytes += sign * message.size
        if message.state is MessageState.SCHEDULED:
            self.scheduled += sign
