"""Scheduled messages."""

from __future__ import annotations

import pytest

from devhost.servicebus.delivery import MessageState
from devhost.servicebus.descriptions import SubscriptionDescription, TopicDescription
from devhost.servicebus.errors import MessageNotFoundError
from tests.unit.devhost.servicebus.workbench import MINUTE, START, Bench, make, text_of


@pytest.fixture
def bench() -> Bench:
    bench = Bench()
    bench.create()
    return bench


def test_a_scheduled_message_comes_at_its_time_under_a_new_number(bench: Bench) -> None:
    receiver = bench.listen(credit=5)
    (number,) = bench.broker.target("q").schedule([make("later", at=START + MINUTE)])
    bench.send("now")
    assert (number, receiver.texts) == (1, ["now"])
    assert bench.broker.next_due() == START + MINUTE
    (shown, _) = bench.broker.queue("q").peek(0, 5)
    assert (shown.state, shown.sequence_number, shown.scheduled_at) == (MessageState.SCHEDULED, 1, START + MINUTE)
    bench.advance(MINUTE)
    bench.broker.run_due()
    delivery = receiver.deliveries[1]
    assert (delivery.sequence_number, delivery.enqueued_sequence_number) == (3, 1)
    assert (delivery.state, delivery.enqueued_at) == (MessageState.ACTIVE, START + MINUTE)
    assert delivery.annotations()["x-opt-scheduled-enqueue-time"] == START + MINUTE


def test_they_come_in_the_order_of_their_times(bench: Bench) -> None:
    bench.send(make("c", at=START + 3), make("a", at=START + 1), make("b", at=START + 2), make("b2", at=START + 2))
    bench.advance(5)
    assert [text_of(each) for each in bench.receive(9)] == ["a", "b", "b2", "c"]


def test_a_time_that_is_over_is_now(bench: Bench) -> None:
    (number,) = bench.broker.target("q").schedule([make("a", at=START)])
    delivery = bench.take()
    assert (delivery.sequence_number, delivery.enqueued_sequence_number) == (number, None)


def test_cancelling_twice_or_too_late_finds_nothing(bench: Bench) -> None:
    target = bench.broker.target("q")
    first, second, third = target.schedule([make(text, at=START + MINUTE) for text in "abc"])
    target.cancel([first])
    for numbers in ([first], [second, first], [99]):
        with pytest.raises(MessageNotFoundError):
            target.cancel(numbers)
    assert bench.texts() == ["b", "c"]
    bench.advance(MINUTE)
    with pytest.raises(MessageNotFoundError):
        target.cancel([third])
    assert bench.texts() == ["b", "c"]
    assert bench.broker.next_due() is None


def test_they_cannot_be_received_as_deferred(bench: Bench) -> None:
    bench.send(make("a", at=START + MINUTE))
    with pytest.raises(MessageNotFoundError):
        bench.broker.queue("q").receive_deferred([1], settles=True)


def test_in_sessions_they_wait_like_the_others() -> None:
    bench = Bench()
    bench.create(requires_session=True)
    bench.send(make("a", session_id="x", at=START + MINUTE))
    assert bench.accept() is None
    bench.advance(MINUTE)
    assert bench.accept(credit=1).texts == ["a"]


def test_a_topic_keeps_them_until_their_time_and_shows_no_subscription_before() -> None:
    bench = Bench()
    bench.broker.create_topic(TopicDescription("t"))
    bench.broker.create_subscription("t", SubscriptionDescription("s"))
    target = bench.broker.target("t")
    first, second = target.schedule([make(text, at=START + MINUTE) for text in "ab"])
    target.cancel([second])
    assert bench.texts("t/Subscriptions/s") == []
    assert bench.broker.counts("t").scheduled == 1
    bench.advance(MINUTE)
    delivery = bench.take("t/Subscriptions/s")
    assert (text_of(delivery), delivery.enqueued_sequence_number) == ("a", first)
    assert bench.broker.counts("t").total == 0
