"""Creating, changing, listing and deleting entities."""

from __future__ import annotations

import pytest

from devhost.servicebus.descriptions import (
    QueueDescription,
    RuleDescription,
    SubscriptionDescription,
    TopicDescription,
)
from devhost.servicebus.errors import ArgumentError, EntityAlreadyExistsError, EntityNotFoundError
from devhost.servicebus.filters import FalseFilter, TrueFilter
from tests.unit.devhost.servicebus.workbench import Bench, make


@pytest.fixture
def bench() -> Bench:
    bench = Bench()
    bench.create("Queue")
    bench.broker.create_topic(TopicDescription("Topic"))
    bench.broker.create_subscription("topic", SubscriptionDescription("Sub"))
    return bench


def test_queues_and_topics_share_their_names(bench: Bench) -> None:
    broker = bench.broker
    for create, name in ((broker.create_queue, "QUEUE"), (broker.create_queue, "topic")):
        with pytest.raises(EntityAlreadyExistsError):
            create(QueueDescription(name))
    for name in ("queue", "TOPIC"):
        with pytest.raises(EntityAlreadyExistsError):
            broker.create_topic(TopicDescription(name))
    with pytest.raises(EntityAlreadyExistsError):
        broker.create_subscription("Topic", SubscriptionDescription("SUB"))
    with pytest.raises(EntityAlreadyExistsError):
        broker.create_rule("topic", "sub", RuleDescription("$default"))


def test_lists_are_by_name(bench: Bench) -> None:
    for name in ("b", "a"):
        bench.create(name)
    assert [each.name for each in bench.broker.queues()] == ["a", "b", "Queue"]
    assert bench.broker.topics() == [TopicDescription("Topic")]
    assert bench.broker.subscriptions("TOPIC") == [SubscriptionDescription("Sub")]
    assert bench.broker.rules("topic", "sub") == [RuleDescription("$Default", TrueFilter())]


def test_what_is_set_is_what_is_shown(bench: Bench) -> None:
    broker = bench.broker
    queue = QueueDescription("queue", max_delivery_count=3, user_metadata="x")
    assert broker.update_queue(queue) == queue == broker.get_queue("QUEUE")
    topic = TopicDescription("topic", default_ttl=1_000)
    assert broker.update_topic(topic) == topic == broker.get_topic("topic")
    subscription = SubscriptionDescription("sub", lock_duration=1_000)
    assert broker.update_subscription("topic", subscription) == broker.get_subscription("Topic", "SUB")
    rule = RuleDescription("$Default", FalseFilter())
    assert broker.update_rule("topic", "sub", rule) == rule == broker.get_rule("topic", "sub", "$default")


def test_some_things_are_for_ever(bench: Bench) -> None:
    with pytest.raises(ArgumentError, match="requires_session"):
        bench.broker.update_queue(QueueDescription("queue", requires_session=True))
    with pytest.raises(ArgumentError, match="requires_duplicate_detection"):
        bench.broker.update_topic(TopicDescription("topic", requires_duplicate_detection=True))
    with pytest.raises(ArgumentError, match="requires_session"):
        bench.broker.update_subscription("topic", SubscriptionDescription("sub", requires_session=True))


def test_impossible_descriptions_are_refused_and_leave_nothing(bench: Bench) -> None:
    with pytest.raises(ArgumentError):
        bench.create("-bad-")
    with pytest.raises(ArgumentError):
        bench.broker.update_queue(QueueDescription("queue", max_delivery_count=0))
    assert bench.broker.get_queue("queue").max_delivery_count == 10
    with pytest.raises(ArgumentError):
        bench.broker.create_subscription("topic", SubscriptionDescription("new"), [RuleDescription("-")])
    assert len(bench.broker.subscriptions("topic")) == 1


def test_what_is_deleted_is_gone_with_all_that_it_had(bench: Bench) -> None:
    broker = bench.broker
    receiver = bench.listen(path="topic/Subscriptions/sub")
    bench.send(make("a", at=bench.time + 10), to="topic")
    broker.delete_topic("TOPIC")
    assert isinstance(receiver.error, EntityNotFoundError)
    broker.delete_queue("QUEUE")
    assert broker.queues() == [] == broker.topics()
    assert broker.next_due() is None
    for missing in (
        lambda: broker.delete_queue("queue"),
        lambda: broker.delete_topic("topic"),
        lambda: broker.update_queue(QueueDescription("queue")),
        lambda: broker.subscriptions("topic"),
        lambda: broker.delete_subscription("topic", "sub"),
        lambda: broker.counts("topic"),
        lambda: broker.queue("topic/Subscriptions/sub"),
    ):
        with pytest.raises(EntityNotFoundError):
            missing()


def test_a_missing_rule_or_subscription_is_not_found(bench: Bench) -> None:
    for missing in (
        lambda: bench.broker.get_rule("topic", "sub", "none"),
        lambda: bench.broker.delete_rule("topic", "sub", "none"),
        lambda: bench.broker.update_rule("topic", "sub", RuleDescription("none")),
        lambda: bench.broker.create_rule("topic", "none", RuleDescription("r")),
        lambda: bench.broker.get_subscription("topic", "none"),
    ):
        with pytest.raises(EntityNotFoundError):
            missing()


def test_a_queue_that_was_made_anew_is_empty_and_counts_from_one(bench: Bench) -> None:
    bench.send("a", to="queue")
    bench.broker.delete_queue("queue")
    bench.create("queue")
    bench.send("b", to="queue")
    assert bench.texts("queue") == ["b"]
    assert bench.take("queue").sequence_number == 1
