"""Locks of messages: how long they last, renewal, and what their end means."""

from __future__ import annotations

from uuid import UUID

import pytest

from devhost.servicebus.descriptions import QueueDescription
from devhost.servicebus.errors import EntityDisabledError, EntityNotFoundError, MessageLockLostError
from tests.unit.devhost.servicebus.workbench import MINUTE, SECOND, START, Bench, text_of


@pytest.fixture
def bench() -> Bench:
    bench = Bench()
    bench.create(lock_duration=30 * SECOND, max_delivery_count=2)
    return bench


def test_a_lock_lasts_as_long_as_the_queue_says(bench: Bench) -> None:
    bench.send("a")
    delivery = bench.take()
    assert isinstance(delivery.token, UUID)
    assert delivery.locked_until == START + 30 * SECOND
    bench.advance(30 * SECOND - 1)
    assert bench.receive() == []
    bench.advance(1)
    with pytest.raises(MessageLockLostError):
        bench.broker.queue("q").complete(delivery.token)
    assert bench.texts() == ["a"]


def test_an_expired_lock_is_a_failed_delivery(bench: Bench) -> None:
    bench.send("a")
    waiting = bench.listen(credit=5)
    (first,) = waiting.deliveries
    bench.advance(30 * SECOND)
    bench.broker.run_due()
    second = waiting.deliveries[1]
    assert second.token != first.token
    assert (second.delivery_count, second.locked_until) == (1, START + MINUTE)
    bench.advance(30 * SECOND)
    bench.broker.run_due()
    assert len(waiting.deliveries) == 2
    reason = bench.take("q/$DeadLetterQueue").message.application_properties["DeadLetterReason"]
    assert reason == "MaxDeliveryCountExceeded"


def test_renewal_counts_from_now(bench: Bench) -> None:
    bench.send("a")
    queue = bench.broker.queue("q")
    token = bench.token()
    bench.advance(20 * SECOND)
    assert queue.renew(token) == START + 50 * SECOND
    bench.advance(29 * SECOND)
    queue.complete(token)
    with pytest.raises(MessageLockLostError):
        queue.renew(token)


def test_locks_outlive_their_receiver(bench: Bench) -> None:
    bench.send("a")
    token = bench.token()
    assert bench.receive() == []
    bench.broker.queue("q").complete(token)


def test_the_agenda_is_told_of_the_earliest_moment_only() -> None:
    bench = Bench()
    bench.create("slow", lock_duration=MINUTE)
    bench.create("fast", lock_duration=SECOND)
    moments: list[int] = []
    bench.broker.on_due = moments.append
    assert bench.broker.next_due() is None
    for name in ("slow", "slow", "fast"):
        bench.send("a", to=name)
        bench.take(name)
    assert moments == [START + MINUTE, START + SECOND]
    assert bench.broker.next_due() == START + SECOND
    bench.advance(SECOND)
    bench.broker.run_due()
    assert bench.broker.next_due() == START + MINUTE


def test_settled_locks_leave_nothing_to_wait_for(bench: Bench) -> None:
    queue = bench.broker.queue("q")
    for _ in range(3_000):
        bench.send("a")
        queue.complete(bench.token())
    assert bench.broker.next_due() is None
    assert len(queue._namespace.agenda._heap) < 2_100


def test_a_changed_lock_duration_holds_for_new_locks(bench: Bench) -> None:
    bench.send("a", "b")
    bench.take()
    bench.broker.update_queue(QueueDescription("q", lock_duration=SECOND, max_delivery_count=2))
    assert bench.take().locked_until == START + SECOND
    bench.advance(SECOND)
    assert [text_of(delivery) for delivery in bench.receive(5)] == ["b"]


def test_receivers_are_told_when_their_queue_is_disabled_or_deleted(bench: Bench) -> None:
    receiver, dead = bench.listen(), bench.listen(path="q/$DeadLetterQueue")
    bench.broker.update_queue(QueueDescription("q", status="ReceiveDisabled"))
    assert isinstance(receiver.error, EntityDisabledError) and isinstance(dead.error, EntityDisabledError)
    bench.send("a")
    assert receiver.deliveries == []
    bench.broker.update_queue(QueueDescription("q"))
    receiver = bench.listen()
    assert receiver.texts == ["a"]
    bench.broker.delete_queue("Q")
    assert isinstance(receiver.error, EntityNotFoundError)
    bench.create()
    assert bench.texts() == []
