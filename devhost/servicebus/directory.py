"""The entities of a bus by name, and in the store."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from devhost.servicebus.descriptions import (
    QueueDescription,
    RuleDescription,
    SubscriptionDescription,
    TopicDescription,
)
from devhost.servicebus.entity import QUEUES_PER_ENTITY, QueueEntity
from devhost.servicebus.errors import EntityAlreadyExistsError, EntityNotFoundError, NotAllowedError
from devhost.servicebus.namespace import Namespace
from devhost.servicebus.queue import MessageQueue
from devhost.servicebus.store import Store, StoredEntity, StoredState
from devhost.servicebus.target import Target
from devhost.servicebus.topic import Subscription, Topic

_SUBSCRIPTIONS = "/subscriptions/"
_SUB_QUEUES = {"/$transfer/$deadletterqueue": 2, "/$deadletterqueue": 1}


class Directory:
    """Finds entities. Names are the same in any case, and may be written as whole addresses (sb://host/name)."""

    def __init__(self, store: Store, now: Callable[[], int]) -> None:
        self.namespace = Namespace(store, now, self.target)
        self.queues: dict[str, QueueEntity] = {}
        self.topics: dict[str, Topic] = {}
        self.records: dict[int, StoredEntity] = {}
        self.rule_ids: dict[tuple[int, str], int] = {}
        """By subscription's id and rule's name in lower case."""
        self._store = store
        self._last_id = 0

    # --- by name ----------------------------------------------------------------------------------------------------

    def target(self, path: str) -> Target:
        """The queue or topic to send to. Raises EntityNotFoundError; NotAllowedError where nobody can send."""
        key = to_key(path)
        target: Target | None = self.queues.get(key) or self.topics.get(key)
        if target is not None:
            return target
        if _SUBSCRIPTIONS in key or key.endswith("/$deadletterqueue"):
            self.queue(path)
            raise NotAllowedError(f"Nobody can send to '{path}': send to the queue or topic itself.")
        raise _not_found(path)

    def queue(self, path: str) -> MessageQueue:
        """The queue, subscription or sub-queue to receive from. Raises EntityNotFoundError, NotAllowedError."""
        key = to_key(path)
        for ending, position in _SUB_QUEUES.items():
            if key.endswith(ending):
                return self.entity(key[: -len(ending)]).queues[position]
        return self.entity(key).queue

    def entity(self, path: str) -> QueueEntity:
        """The queue or subscription. Raises EntityNotFoundError, and NotAllowedError for a topic."""
        key = to_key(path)
        queue = self.queues.get(key)
        if queue is not None:
            return queue
        topic, separator, name = key.partition(_SUBSCRIPTIONS)
        if separator:
            return self.subscription(topic, name)
        if key in self.topics:
            raise NotAllowedError(
                f"'{path}' is a topic: receive from one of its subscriptions, '{path}/Subscriptions/NAME'."
            )
        raise _not_found(path)

    def topic(self, name: str) -> Topic:
        """Raises EntityNotFoundError."""
        topic = self.topics.get(to_key(name))
        if topic is None:
            raise _not_found(name)
        return topic

    def subscription(self, topic: str, name: str) -> Subscription:
        """Raises EntityNotFoundError."""
        subscription = self.topic(topic).subscriptions.get(name.lower())
        if subscription is None:
            raise _not_found(f"{topic}/Subscriptions/{name}")
        return subscription

    def all_entities(self) -> list[QueueEntity | Topic]:
        """Queues, topics and subscriptions."""
        subscriptions = [each for topic in self.topics.values() for each in topic.subscriptions.values()]
        return [*self.queues.values(), *self.topics.values(), *subscriptions]

    # --- new and gone -----------------------------------------------------------------------------------------------

    def check_free(self, name: str) -> None:
        """Raises EntityAlreadyExistsError when a queue or topic has the name."""
        if to_key(name) in self.queues or to_key(name) in self.topics:
            raise EntityAlreadyExistsError(f"There is an entity named '{name}': queues and topics share their names.")

    def add(self, description: Any, parent_id: int | None = None) -> int:
        """Set up a new entity; what can be wrong with it has been checked. Returns its id."""
        self._last_id += 1
        now = self.namespace.now()
        record = StoredEntity(self._last_id, parent_id, description, now, now)
        self._set_up(record)
        self._store.save_entity(record)
        return record.entity_id

    def change(self, entity_id: int, description: Any) -> None:
        """Keep another description."""
        record = self.records[entity_id]
        record.description = description
        record.updated_at = self.namespace.now()
        self._store.save_entity(record)

    def remove(self, entity_id: int) -> None:
        """Without its children."""
        del self.records[entity_id]
        self._store.remove_entity(entity_id)

    def restore(self, state: StoredState) -> None:
        """Set up everything that has survived."""
        for record in state.entities:
            self._set_up(record)
            self._last_id = max(self._last_id, record.entity_id)
        entities = {entity.entity_id: entity for entity in self.all_entities()}
        for queue_id, number in state.numbers.items():
            entities[queue_id // QUEUES_PER_ENTITY].log.last_number = number
        for session in state.sessions:
            owner = entities[session.queue_id // QUEUES_PER_ENTITY]
            assert isinstance(owner, QueueEntity)
            owner.queue.restore_session(session)
        for entity_id, message_id, moment in state.message_ids:
            entities[entity_id].duplicates.restore(message_id, moment)
        for message in state.messages:
            self.namespace.last_row_id = max(self.namespace.last_row_id, message.row_id)
            entities[message.queue_id // QUEUES_PER_ENTITY].restore(message)

    def _set_up(self, record: StoredEntity) -> None:
        self.records[record.entity_id] = record
        description = record.description
        match description:
            case QueueDescription():
                queue = QueueEntity(record.entity_id, description.name, description, self.namespace)
                self.queues[to_key(description.name)] = queue
            case TopicDescription():
                topic = Topic(record.entity_id, description.name, description, self.namespace)
                self.topics[to_key(description.name)] = topic
            case SubscriptionDescription():
                assert record.parent_id is not None
                topic = self.topics[to_key(self.records[record.parent_id].description.name)]
                path = f"{topic.path}/Subscriptions/{description.name}"
                subscription = Subscription(record.entity_id, path, description, self.namespace)
                topic.subscriptions[description.name.lower()] = subscription
            case RuleDescription():
                assert record.parent_id is not None
                parent = self.records[record.parent_id]
                assert parent.parent_id is not None
                topic_name = self.records[parent.parent_id].description.name
                rules = self.subscription(topic_name, parent.description.name).rules
                rules[description.name.lower()] = description
                self.rule_ids[record.parent_id, description.name.lower()] = record.entity_id


def to_key(path: str) -> str:
    """A path as it is compared: without scheme and host, in lower case."""
    if "://" in path:
        path = urlsplit(path).path
    return path.strip("/").lower()


def _not_found(path: str) -> EntityNotFoundError:
    return EntityNotFoundError(
        f"The messaging entity '{path}' could not be found. Create it, or declare it in the bus's configuration"
        " (servicebus.json) and restart the bus."
    )
