"""Topics and subscriptions: which copies of a message go where."""

from __future__ import annotations

from collections.abc import Iterator

from devhost.servicebus.brokered_message import BrokeredMessage
from devhost.servicebus.descriptions import RuleDescription, SubscriptionDescription, TopicDescription
from devhost.servicebus.entity import QUEUES_PER_ENTITY, QueueEntity
from devhost.servicebus.errors import ServiceBusError
from devhost.servicebus.filters import FilterError
from devhost.servicebus.message import Message
from devhost.servicebus.message_log import MessageLog
from devhost.servicebus.namespace import Namespace
from devhost.servicebus.target import Target


class Subscription(QueueEntity):
    """A queue of copies of a topic's messages."""

    description: SubscriptionDescription

    def __init__(self, entity_id: int, path: str, description: SubscriptionDescription, namespace: Namespace) -> None:
        super().__init__(entity_id, path, description, namespace)
        self.rules: dict[str, RuleDescription] = {}
        """By name in lower case."""

    def offer(self, original: BrokeredMessage, ttl: int | None) -> None:
        """Take a copy for each rule with an action that matches, and one for all that match without one."""
        try:
            copies = list(self._copies(original.message))
        except (FilterError, ServiceBusError) as error:
            if self.description.dead_letter_on_filter_errors:
                copy = self._copy(original, original.message)
                copy.renumber(self.log.next_number())
                copy.enqueued_at = self._namespace.now()
                self._bury(copy, "FilterEvaluationException", str(error), {})
            return
        for message in copies:
            self.accept(self._copy(original, message), ttl)

    def _copies(self, message: Message) -> Iterator[Message]:
        is_taken = False
        for rule in self.rules.values():
            if (rule.action is not None or not is_taken) and rule.filter.matches(message):
                if rule.action is not None:
                    yield rule.action.apply(message)
                else:
                    is_taken = True
                    yield message

    def _copy(self, original: BrokeredMessage, message: Message) -> BrokeredMessage:
        copy = self._namespace.receive(message)
        copy.enqueued_sequence_number = original.enqueued_sequence_number or original.sequence_number or None
        copy.scheduled_at = original.scheduled_at
        copy.dead_letter_source = original.dead_letter_source
        copy.hops = original.hops
        return copy


class Topic(Target):
    """Holds no messages but scheduled ones: each subscription has its own copies."""

    description: TopicDescription

    def __init__(self, entity_id: int, path: str, description: TopicDescription, namespace: Namespace) -> None:
        super().__init__(entity_id, namespace)
        self.path = path
        self.description = description
        self.log = MessageLog(entity_id * QUEUES_PER_ENTITY, namespace.store)
        self.subscriptions: dict[str, Subscription] = {}
        """By name in lower case."""

    @property
    def size_in_bytes(self) -> int:
        """Of what waits, and of all subscriptions."""
        return self.log.size_in_bytes + sum(
            subscription.size_in_bytes for subscription in self.subscriptions.values()
        )

    def accept(self, message: BrokeredMessage, ttl: int | None = None) -> None:
        """Offer it to the subscriptions; what none of them takes is gone."""
        self._namespace.store.remove(message)
        for subscription in self.subscriptions.values():
            subscription.offer(message, self.description.default_ttl)

    def restore(self, message: BrokeredMessage) -> None:
        """A scheduled message from before a restart."""
        self.log.restore(message)
        self.wait(message)

    def change(self, description: TopicDescription) -> None:
        """Go by another description from now on."""
        self.description = description

    def clear(self) -> None:
        """Drop the scheduled messages and the seen message ids; subscriptions are cleared by themselves."""
        for message in self.log.messages.values():
            assert message.appointment is not None
            self._namespace.agenda.cancel(message.appointment)
        self.log.clear()
        self.duplicates.clear()

    def delete(self) -> None:
        """It is no more."""
        self.clear()
        self.log.delete()

    def _hold(self, message: BrokeredMessage) -> None:
        self.log.add(message)

    def _let_go(self, message: BrokeredMessage) -> None:
        self.log.take(message)

    def _drop(self, message: BrokeredMessage) -> None:
        assert message.appointment is not None
        self._namespace.agenda.cancel(message.appointment)
        self.log.remove(message)
