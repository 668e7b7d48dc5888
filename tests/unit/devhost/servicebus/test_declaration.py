"""A broker's entities after a configuration was declared to it, once and again."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from devhost.servicebus.broker import Broker
from devhost.servicebus.config import load_config
from devhost.servicebus.config_reader import ConfigError
from devhost.servicebus.declaration import declare
from devhost.servicebus.descriptions import QueueDescription, RuleDescription, SubscriptionDescription
from devhost.servicebus.filters import CorrelationFilter
from devhost.servicebus.store import MemoryStore
from tests.unit.devhost.servicebus.messages import message


@pytest.fixture
def broker() -> Broker:
    """On a clock that goes on whenever somebody looks at it."""
    return Broker(MemoryStore(), itertools.count(1_000).__next__)


def configuration(queues: tuple[Any, ...] = (), topics: tuple[Any, ...] = ()) -> dict[str, Any]:
    return {"UserConfig": {"Namespaces": [{"Name": "sbemulatorns", "Queues": list(queues), "Topics": list(topics)}]}}


def topic(*rules: str, **properties: Any) -> dict[str, Any]:
    declared = [{"Name": name, "Properties": {"CorrelationFilter": {"Label": name}}} for name in rules]
    return {"Name": "t", "Subscriptions": [{"Name": "s", "Properties": properties, "Rules": declared}]}


def rule_names(broker: Broker) -> list[str]:
    return sorted(rule.name for rule in broker.rules("t", "s"))


def test_what_is_missing_is_created(broker):
    declare(load_config(configuration(({"Name": "q"},), (topic("red"),))), broker)
    assert [queue.name for queue in broker.queues()] == ["q"]
    assert broker.get_subscription("t", "s").name == "s"
    assert broker.rules("t", "s") == [RuleDescription("red", CorrelationFilter(subject="red"))]


def test_a_subscription_without_rules_takes_everything(broker):
    declare(load_config(configuration((), (topic(),))), broker)
    assert rule_names(broker) == ["$Default"]


def test_what_is_forwarded_to_may_be_declared_later(broker):
    forwarding = {"Name": "a", "Properties": {"ForwardTo": "t", "ForwardDeadLetteredMessagesTo": "b"}}
    declare(load_config(configuration((forwarding, {"Name": "b"}), (topic(ForwardTo="b"),))), broker)
    assert broker.get_queue("a").forward_to == "t"
    assert broker.get_queue("a").forward_dead_letters_to == "b"
    broker.target("a").send([message()])
    assert broker.counts("b").active == 1


def test_what_is_different_is_changed_and_the_rest_stays(broker):
    declare(load_config(configuration(({"Name": "q"},), (topic("red", "blue"),))), broker)
    broker.create_queue(QueueDescription("made-at-run-time"))
    broker.create_subscription("t", SubscriptionDescription("made-at-run-time"))
    broker.create_rule("t", "s", RuleDescription("made-at-run-time"))
    broker.target("q").send([message()])

    changed = topic("red", "green", MaxDeliveryCount=9)
    changed["Subscriptions"][0]["Rules"][0]["Properties"] = {"CorrelationFilter": {"To": "bank"}}
    queue = {"Name": "Q", "Properties": {"LockDuration": "PT7S"}}
    declare(load_config(configuration((queue,), (changed,))), broker)
    assert broker.get_queue("q").lock_duration == 7_000
    assert broker.counts("q").active == 1
    assert broker.get_subscription("t", "s").max_delivery_count == 9
    assert broker.get_rule("t", "s", "red").filter == CorrelationFilter(to="bank")
    assert rule_names(broker) == ["blue", "green", "made-at-run-time", "red"]
    assert [found.name for found in broker.subscriptions("t")] == ["made-at-run-time", "s"]
    assert "made-at-run-time" in [found.name for found in broker.queues()]


def test_the_rule_that_stood_for_none_goes_when_there_are_others(broker):
    declare(load_config(configuration((), (topic(),))), broker)
    declare(load_config(configuration((), (topic("red"),))), broker)
    assert rule_names(broker) == ["red"]


def test_the_same_again_changes_nothing(broker):
    config = load_config(configuration(({"Name": "q"},), (topic("red"),)))
    declare(config, broker)
    before = broker.counts("q").updated_at, broker.counts("t").updated_at, broker.counts("t/Subscriptions/s").updated_at
    declare(config, broker)
    after = broker.counts("q").updated_at, broker.counts("t").updated_at, broker.counts("t/Subscriptions/s").updated_at
    assert after == before


@pytest.mark.parametrize(
    ("queues", "topics", "reason"),
    [
        (({"Name": "q", "Properties": {"RequiresSession": True}},), (), "cannot be changed"),
        ((), ({"Name": "q"},), "'q'"),
        (({"Name": "t"},), (), "'t'"),
    ],
)
def test_what_the_database_has_otherwise_is_an_error_with_a_remedy(broker, queues, topics, reason):
    declare(load_config(configuration(({"Name": "q"},), (topic(),))), broker)
    with pytest.raises(ConfigError, match=reason) as caught:
        declare(load_config(configuration(queues, topics)), broker)
    assert "delete the bus's database file" in caught.value.remedy
