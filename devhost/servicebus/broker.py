"""The rules of a local Service Bus in one object: what the wire and the administration talk to."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from devhost.servicebus.counts import Counts
from devhost.servicebus.description_checks import check_description
from devhost.servicebus.descriptions import (
    DEFAULT_RULE,
    QueueDescription,
    RuleDescription,
    SubscriptionDescription,
    TopicDescription,
)
from devhost.servicebus.directory import Directory
from devhost.servicebus.entity import QueueEntity
from devhost.servicebus.entity_rules import check_change, check_not_itself
from devhost.servicebus.errors import EntityAlreadyExistsError, EntityNotFoundError
from devhost.servicebus.queue import MessageQueue
from devhost.servicebus.store import CallSoon, Store
from devhost.servicebus.target import Target
from devhost.servicebus.topic import Topic

_RETRY_AFTER = 500
"""How many ms after a commit that failed the next one is tried."""


class Broker:
    """One namespace with its entities and messages.

    Synchronous, and of one thread. What it holds in memory is the truth while it runs; the store has what must
    survive. Locks do not survive a restart. Times are ms since 1970.
    """

    def __init__(self, store: Store, now: Callable[[], int], call_soon: CallSoon | None = None) -> None:
        """Load what the store has. `call_soon` is the event loop's, for the group commit (`when_committed`)."""
        self._store = store
        self._directory = Directory(store, now)
        self._namespace = self._directory.namespace
        self._directory.restore(store.load())
        store.start(call_soon, self._retry)

    # --- messages ---------------------------------------------------------------------------------------------------

    def queue(self, path: str) -> MessageQueue:
        """The queue, subscription or sub-queue to receive from. Raises EntityNotFoundError, NotAllowedError."""
        return self._directory.queue(path)

    def target(self, path: str) -> Target:
        """The queue or topic to send to. Raises EntityNotFoundError; NotAllowedError where nobody can send."""
        return self._directory.target(path)

    def when_committed(self, callback: Callable[[], None]) -> None:
        """Call back when everything done so far is on disk; at once if it is."""
        self._store.when_committed(callback)

    @property
    def is_committing(self) -> bool:
        """Whether something is not on disk yet; it will be as soon as the work at hand is done."""
        return self._store.has_changes

    @property
    def on_due(self) -> Callable[[int], None] | None:
        """Called with the earliest moment at which `run_due` has something to do, when that has come nearer."""
        return self._namespace.agenda.on_due

    @on_due.setter
    def on_due(self, hook: Callable[[int], None] | None) -> None:
        self._namespace.agenda.on_due = hook

    def next_due(self) -> int | None:
        """When `run_due` has something to do next."""
        return self._namespace.agenda.next_due()

    def run_due(self) -> None:
        """End locks and lives that are over, enqueue scheduled messages whose time has come."""
        self._namespace.catch_up()

    def clear(self) -> None:
        """Drop all messages, session states and seen message ids."""
        for entity in self._directory.all_entities():
            entity.clear()

    def close(self) -> None:
        """Commit, and let go of the store."""
        self._store.close()

    def counts(self, path: str) -> Counts:
        """Of a queue, topic or subscription. Raises EntityNotFoundError."""
        self._namespace.catch_up()
        topic = self._directory.topics.get(path.strip("/").lower())
        entity: QueueEntity | Topic = topic or self._directory.entity(path)
        record = self._directory.records[entity.entity_id]
        active = dead = transfer_dead = 0
        accessed_at = max(entity.accessed_at, record.updated_at)
        if isinstance(entity, QueueEntity):
            accessed_at = max(accessed_at, *(queue.accessed_at for queue in entity.queues))
            active = len(entity.log.messages) - entity.log.scheduled
            dead, transfer_dead = len(entity.dead_letters.log.messages), len(entity.transfer_dead_letters.log.messages)
        return Counts(
            active=active,
            dead_letter=dead,
            scheduled=entity.log.scheduled,
            transfer_dead_letter=transfer_dead,
            size_in_bytes=entity.size_in_bytes,
            created_at=record.created_at,
            updated_at=record.updated_at,
            accessed_at=accessed_at,
        )

    # --- queues -----------------------------------------------------------------------------------------------------

    def create_queue(self, description: QueueDescription) -> QueueDescription:
        """Raises EntityAlreadyExistsError, ArgumentError, EntityNotFoundError (of what it forwards to)."""
        self._directory.check_free(description.name)
        check_description(description)
        self._check_forwarding(description.name, description)
        self._directory.add(description)
        return description

    def get_queue(self, name: str) -> QueueDescription:
        """Raises EntityNotFoundError."""
        return self._queue_entity(name).description

    def queues(self) -> list[QueueDescription]:
        """By name."""
        return [queue.description for _, queue in sorted(self._directory.queues.items())]

    def update_queue(self, description: QueueDescription) -> QueueDescription:
        """Raises EntityNotFoundError, ArgumentError."""
        entity = self._queue_entity(description.name)
        self._change(entity, description)
        return description

    def delete_queue(self, name: str) -> None:
        """With its messages; receivers are told. Raises EntityNotFoundError."""
        entity = self._queue_entity(name)
        del self._directory.queues[entity.path.lower()]
        self._directory.remove(entity.entity_id)
        entity.delete()

    # --- topics -----------------------------------------------------------------------------------------------------

    def create_topic(self, description: TopicDescription) -> TopicDescription:
        """Raises EntityAlreadyExistsError, ArgumentError."""
        self._directory.check_free(description.name)
        check_description(description)
        self._directory.add(description)
        return description

    def get_topic(self, name: str) -> TopicDescription:
        """Raises EntityNotFoundError."""
        return self._directory.topic(name).description

    def topics(self) -> list[TopicDescription]:
        """By name."""
        return [topic.description for _, topic in sorted(self._directory.topics.items())]

    def update_topic(self, description: TopicDescription) -> TopicDescription:
        """Raises EntityNotFoundError, ArgumentError."""
        topic = self._directory.topic(description.name)
        check_change(topic.description, description)
        self._directory.change(topic.entity_id, description)
        topic.change(description)
        return description

    def delete_topic(self, name: str) -> None:
        """With its subscriptions. Raises EntityNotFoundError."""
        topic = self._directory.topic(name)
        for subscription in list(topic.subscriptions):
            self.delete_subscription(name, subscription)
        del self._directory.topics[topic.path.lower()]
        self._directory.remove(topic.entity_id)
        topic.delete()

    # --- subscriptions ----------------------------------------------------------------------------------------------

    def create_subscription(
        self, topic: str, description: SubscriptionDescription, rules: Sequence[RuleDescription] | None = None
    ) -> SubscriptionDescription:
        """Without rules it gets $Default, which takes everything; with an empty sequence it gets none and takes none.

        Raises EntityNotFoundError, EntityAlreadyExistsError, ArgumentError.
        """
        parent = self._directory.topic(topic)
        if description.name.lower() in parent.subscriptions:
            raise EntityAlreadyExistsError(f"'{topic}' has a subscription named '{description.name}'.")
        check_description(description)
        self._check_forwarding(f"{topic}/Subscriptions/{description.name}", description)
        wanted = (RuleDescription(DEFAULT_RULE),) if rules is None else rules
        for rule in wanted:
            check_description(rule)
        entity_id = self._directory.add(description, parent.entity_id)
        for rule in wanted:
            self._directory.add(rule, entity_id)
        return description

    def get_subscription(self, topic: str, name: str) -> SubscriptionDescription:
        """Raises EntityNotFoundError."""
        return self._directory.subscription(topic, name).description

    def subscriptions(self, topic: str) -> list[SubscriptionDescription]:
        """By name. Raises EntityNotFoundError."""
        return [each.description for _, each in sorted(self._directory.topic(topic).subscriptions.items())]

    def update_subscription(self, topic: str, description: SubscriptionDescription) -> SubscriptionDescription:
        """Raises EntityNotFoundError, ArgumentError."""
        self._change(self._directory.subscription(topic, description.name), description)
        return description

    def delete_subscription(self, topic: str, name: str) -> None:
        """With its rules and messages; receivers are told. Raises EntityNotFoundError."""
        subscription = self._directory.subscription(topic, name)
        for rule in list(subscription.rules):
            self.delete_rule(topic, name, rule)
        del self._directory.topic(topic).subscriptions[name.lower()]
        self._directory.remove(subscription.entity_id)
        subscription.delete()

    # --- rules ------------------------------------------------------------------------------------------------------

    def create_rule(self, topic: str, subscription: str, rule: RuleDescription) -> RuleDescription:
        """Raises EntityNotFoundError, EntityAlreadyExistsError, ArgumentError."""
        entity = self._directory.subscription(topic, subscription)
        if rule.name.lower() in entity.rules:
            raise EntityAlreadyExistsError(f"The subscription '{subscription}' has a rule named '{rule.name}'.")
        check_description(rule)
        self._directory.add(rule, entity.entity_id)
        return rule

    def get_rule(self, topic: str, subscription: str, name: str) -> RuleDescription:
        """Raises EntityNotFoundError."""
        rule = self._directory.subscription(topic, subscription).rules.get(name.lower())
        if rule is None:
            raise EntityNotFoundError(f"The subscription '{topic}/Subscriptions/{subscription}' has no rule '{name}'.")
        return rule

    def rules(self, topic: str, subscription: str) -> list[RuleDescription]:
        """In the order in which they were made. Raises EntityNotFoundError."""
        return list(self._directory.subscription(topic, subscription).rules.values())

    def update_rule(self, topic: str, subscription: str, rule: RuleDescription) -> RuleDescription:
        """Raises EntityNotFoundError, ArgumentError."""
        self.get_rule(topic, subscription, rule.name)
        check_description(rule)
        entity = self._directory.subscription(topic, subscription)
        entity.rules[rule.name.lower()] = rule
        self._directory.change(self._directory.rule_ids[entity.entity_id, rule.name.lower()], rule)
        return rule

    def delete_rule(self, topic: str, subscription: str, name: str) -> None:
        """Raises EntityNotFoundError."""
        self.get_rule(topic, subscription, name)
        entity = self._directory.subscription(topic, subscription)
        del entity.rules[name.lower()]
        self._directory.remove(self._directory.rule_ids.pop((entity.entity_id, name.lower())))

    # --- inside -----------------------------------------------------------------------------------------------------

    def _retry(self, commit: Callable[[], None]) -> None:
        self._namespace.agenda.at(self._namespace.now() + _RETRY_AFTER, lambda _: commit(), None)

    def _queue_entity(self, name: str) -> QueueEntity:
        entity = self._directory.queues.get(name.strip("/").lower())
        if entity is None:
            raise EntityNotFoundError(f"There is no queue named '{name}'. Create it first.")
        return entity

    def _change(self, entity: QueueEntity, description: QueueDescription | SubscriptionDescription) -> None:
        check_change(entity.description, description)
        self._check_forwarding(entity.path, description)
        self._directory.change(entity.entity_id, description)
        entity.change(description)

    def _check_forwarding(self, path: str, description: QueueDescription | SubscriptionDescription) -> None:
        for other in (description.forward_to, description.forward_dead_letters_to):
            if other:
                check_not_itself(path, self._directory.target(other).path)
