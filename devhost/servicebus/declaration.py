"""Makes a broker's entities agree with a configuration; what the configuration does not name stays as it is."""

from __future__ import annotations

from dataclasses import replace

from devhost.servicebus.broker import Broker
from devhost.servicebus.config import Config, SubscriptionConfig, TopicConfig
from devhost.servicebus.config_reader import ConfigError
from devhost.servicebus.descriptions import DEFAULT_RULE, QueueDescription, SubscriptionDescription
from devhost.servicebus.errors import EntityNotFoundError, ServiceBusError

_REMEDY = "Give it another name, or delete the bus's database file, with all messages in it, and start again."


def declare(config: Config, broker: Broker) -> None:
    """Create what is missing and change what is different. Entities made at run time, and all messages, stay.

    Raises ConfigError when an entity of the database cannot become what the configuration says.
    """
    try:
        for queue in config.queues:
            _declare_queue(broker, queue)
        for topic in config.topics:
            _declare_topic(broker, topic)
        # What is forwarded to must exist, in whatever order the configuration names it.
        for queue in config.queues:
            _change_queue(broker, queue)
        for topic in config.topics:
            for subscription in topic.subscriptions:
                _change_subscription(broker, topic.description.name, subscription.description)
    except ServiceBusError as error:
        raise ConfigError(f"The database does not agree with the configuration: {error}", _REMEDY) from None


def _declare_queue(broker: Broker, description: QueueDescription) -> None:
    try:
        broker.get_queue(description.name)
    except EntityNotFoundError:
        broker.create_queue(replace(description, forward_to=None, forward_dead_letters_to=None))


def _change_queue(broker: Broker, description: QueueDescription) -> None:
    if broker.get_queue(description.name) != description:
        broker.update_queue(description)


def _declare_topic(broker: Broker, topic: TopicConfig) -> None:
    description = topic.description
    try:
        if broker.get_topic(description.name) != description:
            broker.update_topic(description)
    except EntityNotFoundError:
        broker.create_topic(description)
    for subscription in topic.subscriptions:
        _declare_subscription(broker, description.name, subscription)


def _declare_subscription(broker: Broker, topic: str, declared: SubscriptionConfig) -> None:
    description = declared.description
    try:
        broker.get_subscription(topic, description.name)
    except EntityNotFoundError:
        bare = replace(description, forward_to=None, forward_dead_letters_to=None)
        broker.create_subscription(topic, bare, declared.rules or None)
        return
    found = {rule.name.lower(): rule for rule in broker.rules(topic, description.name)}
    for rule in declared.rules:
        if rule.name.lower() not in found:
            broker.create_rule(topic, description.name, rule)
        elif found[rule.name.lower()] != rule:
            broker.update_rule(topic, description.name, rule)
    named = {rule.name.lower() for rule in declared.rules}
    if named and DEFAULT_RULE.lower() in found.keys() - named:
        broker.delete_rule(topic, description.name, DEFAULT_RULE)  # it was there for want of others


def _change_subscription(broker: Broker, topic: str, description: SubscriptionDescription) -> None:
    if broker.get_subscription(topic, description.name) != description:
        broker.update_subscription(topic, description)
