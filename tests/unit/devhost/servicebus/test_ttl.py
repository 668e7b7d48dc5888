"""Time to live: whose counts, when it ends, and what it does not touch."""

from __future__ import annotations

import pytest

from tests.unit.devhost.servicebus.workbench import MINUTE, SECOND, START, Bench, make, text_of

DLQ = "q/$DeadLetterQueue"


@pytest.mark.parametrize(("default", "own", "lives"), [(None, 5, 5), (5, None, 5), (5, 3, 3), (3, 5, 3)])
def test_the_shorter_life_counts(default: int | None, own: int | None, lives: int) -> None:
    bench = Bench()
    bench.create(default_ttl=default)
    bench.send(make("a", ttl=own))
    bench.advance(lives - 1)
    assert bench.texts() == ["a"]
    bench.advance(1)
    assert bench.texts() == []
    assert bench.receive() == []
    assert bench.broker.counts("q").total == 0


def test_expired_messages_may_be_dead_lettered_and_live_there_for_ever() -> None:
    bench = Bench()
    bench.create(default_ttl=SECOND, dead_letter_on_expiration=True)
    bench.send("a")
    bench.advance(SECOND)
    bench.broker.run_due()
    bench.advance(1_000 * MINUTE)
    dead = bench.take(DLQ)
    assert dead.message.application_properties["DeadLetterReason"] == "TTLExpiredException"
    assert (dead.sequence_number, dead.delivery_count, dead.enqueued_at) == (1, 0, START)


@pytest.mark.parametrize("end", ["abandon", "release", "expiry"])
def test_a_locked_message_expires_only_after_its_lock(end: str) -> None:
    bench = Bench()
    bench.create(default_ttl=SECOND, dead_letter_on_expiration=True)
    bench.send("a")
    queue = bench.broker.queue("q")
    token = bench.token()
    bench.advance(MINUTE - 1)
    bench.broker.run_due()
    assert bench.texts() == [] == bench.texts(DLQ)
    if end == "expiry":
        bench.advance(1)
    else:
        getattr(queue, end)(token)
    assert bench.receive() == []
    assert bench.texts(DLQ) == ["a"]


def test_a_locked_message_may_be_completed_after_its_life() -> None:
    bench = Bench()
    bench.create(default_ttl=SECOND, dead_letter_on_expiration=True)
    bench.send("a")
    token = bench.token()
    bench.advance(2 * SECOND)
    bench.broker.queue("q").complete(token)
    assert bench.broker.counts("q").total == 0


def test_a_message_given_back_in_time_still_expires() -> None:
    bench = Bench()
    bench.create(default_ttl=SECOND)
    bench.send("a")
    bench.broker.queue("q").abandon(bench.token())
    bench.advance(SECOND)
    assert bench.broker.counts("q").total == 0


def test_deferred_messages_do_not_expire() -> None:
    bench = Bench()
    bench.create(default_ttl=SECOND)
    bench.send("a")
    queue = bench.broker.queue("q")
    queue.defer(bench.token())
    bench.advance(MINUTE)
    assert bench.texts() == ["a"]
    (delivery,) = queue.receive_deferred([1], settles=False)
    queue.abandon(delivery.token)
    bench.advance(MINUTE)
    assert bench.texts() == ["a"]


def test_a_scheduled_message_lives_from_its_moment_on() -> None:
    bench = Bench()
    bench.create()
    bench.send(make("a", ttl=SECOND, at=START + MINUTE))
    bench.advance(MINUTE)
    assert bench.texts() == ["a"]
    bench.advance(SECOND)
    assert bench.texts() == []


def test_expiry_in_the_middle_leaves_the_order_alone() -> None:
    bench = Bench()
    bench.create()
    bench.send("a", make("b", ttl=1), "c")
    bench.advance(1)
    assert [text_of(each) for each in bench.receive(3)] == ["a", "c"]
