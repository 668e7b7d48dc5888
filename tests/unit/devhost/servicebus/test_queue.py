"""A queue without sessions: order, settlement, dead letters, deferred messages, peeking, fairness."""

from __future__ import annotations

from uuid import uuid4

import pytest

from devhost.servicebus.delivery import MessageState
from devhost.servicebus.errors import (
    EntityDisabledError,
    EntityNotFoundError,
    MessageLockLostError,
    MessageNotFoundError,
    MessageSizeExceededError,
    NotAllowedError,
    QuotaExceededError,
)
from tests.unit.devhost.servicebus.workbench import START, Bench, Receiver, make, text_of

DLQ = "q/$DeadLetterQueue"


@pytest.fixture
def bench() -> Bench:
    bench = Bench()
    bench.create(max_delivery_count=3)
    return bench


def test_messages_come_in_order_with_rising_numbers(bench: Bench) -> None:
    bench.send("a", "b")
    bench.send("c")
    deliveries = bench.receive(5)
    assert [text_of(delivery) for delivery in deliveries] == ["a", "b", "c"]
    assert [delivery.sequence_number for delivery in deliveries] == [1, 2, 3]
    assert {delivery.enqueued_at for delivery in deliveries} == {START}
    assert {delivery.delivery_count for delivery in deliveries} == {0}


def test_a_completed_message_is_gone(bench: Bench) -> None:
    bench.send("a")
    queue = bench.broker.queue("q")
    queue.complete(bench.token())
    assert bench.texts() == []
    assert queue.log.size_in_bytes == 0


def test_receive_and_delete_takes_it_at_once(bench: Bench) -> None:
    bench.send("a")
    (delivery,) = bench.receive(settles=True)
    assert delivery.token is None and delivery.locked_until is None
    assert bench.texts() == []


def test_a_waiting_receiver_gets_a_message_as_it_comes_and_no_more_than_its_credit(bench: Bench) -> None:
    receiver = bench.listen(credit=2)
    bench.send("a", "b", "c")
    assert receiver.texts == ["a", "b"]
    receiver.credit = 1
    bench.broker.queue("q").wake(receiver)
    assert receiver.texts == ["a", "b", "c"]


def test_a_detached_receiver_gets_nothing(bench: Bench) -> None:
    receiver = bench.listen(credit=2)
    bench.broker.queue("q").detach(receiver)
    bench.send("a")
    assert receiver.deliveries == []


def test_receivers_take_turns(bench: Bench) -> None:
    first, second, third = (bench.listen(credit=10) for _ in range(3))
    bench.send(*"abcdefg")
    assert [first.texts, second.texts, third.texts] == [["a", "d", "g"], ["b", "e"], ["c", "f"]]


def test_a_receiver_that_settles_as_it_gets_them_is_served_to_the_end(bench: Bench) -> None:
    queue = bench.broker.queue("q")

    class Eager(Receiver):
        def deliver(self, delivery) -> None:
            super().deliver(delivery)
            queue.complete(delivery.token)
            self.credit += 1
            queue.wake(self)

    bench.send(*"abc")
    eager = Eager(credit=1)
    queue.attach(eager)
    assert eager.texts == ["a", "b", "c"]
    assert bench.texts() == []


# --- abandon and release --------------------------------------------------------------------------------------------


def test_abandoned_messages_come_again_at_their_place(bench: Bench) -> None:
    bench.send(*"abcd")
    queue = bench.broker.queue("q")
    first, second, _ = bench.receive(3)
    queue.abandon(second.token)
    queue.abandon(first.token)
    again = bench.receive(5)
    assert [text_of(delivery) for delivery in again] == ["a", "b", "d"]
    assert [delivery.delivery_count for delivery in again] == [1, 1, 0]
    assert first.delivery_count == 0  # what was handed out does not change any more


def test_abandoning_may_change_application_properties(bench: Bench) -> None:
    bench.send(make("a", properties={"kept": "1", "changed": "1"}))
    bench.broker.queue("q").abandon(bench.token(), {"changed": "2", "new": 3})
    assert bench.take().message.application_properties == {"kept": "1", "changed": "2", "new": 3}


def test_the_last_attempt_of_the_maximum_dead_letters(bench: Bench) -> None:
    bench.send("a")
    queue = bench.broker.queue("q")
    counts = []
    for _ in range(3):
        delivery = bench.take()
        counts.append(delivery.delivery_count)
        queue.abandon(delivery.token)
    assert counts == [0, 1, 2]
    assert bench.texts() == []
    dead = bench.take(DLQ)
    assert dead.delivery_count == 3
    assert dead.sequence_number == 1
    assert dead.message.application_properties["DeadLetterReason"] == "MaxDeliveryCountExceeded"
    assert "3" in dead.message.application_properties["DeadLetterErrorDescription"]


def test_released_messages_are_not_counted(bench: Bench) -> None:
    bench.send("a")
    for _ in range(20):
        delivery = bench.take()
        assert delivery.delivery_count == 0
        bench.broker.queue("q").release(delivery.token)


# --- dead letters ---------------------------------------------------------------------------------------------------


def test_dead_lettering_tells_why_and_keeps_the_rest(bench: Bench) -> None:
    bench.send(make("a", properties={"kept": "1"}, message_id="m", subject="s"))
    bench.broker.queue("q").dead_letter(bench.token(), "Bad", "It is bad.", {"more": "2"})
    dead = bench.take(DLQ)
    assert text_of(dead) == "a"
    assert (dead.message.message_id, dead.message.subject) == ("m", "s")
    assert dead.message.application_properties == {
        "kept": "1",
        "more": "2",
        "DeadLetterReason": "Bad",
        "DeadLetterErrorDescription": "It is bad.",
    }
    assert (dead.enqueued_at, dead.dead_letter_source) == (START, None)


def test_dead_lettering_needs_no_reason(bench: Bench) -> None:
    bench.send("a")
    bench.broker.queue("q").dead_letter(bench.token())
    assert bench.take(DLQ).message.application_properties == {}


def test_dead_letters_cannot_be_dead_lettered_but_abandoned_for_ever(bench: Bench) -> None:
    bench.send("a")
    bench.broker.queue("q").dead_letter(bench.token(), "Bad")
    dead_letters = bench.broker.queue(DLQ)
    for count in range(10):
        delivery = bench.take(DLQ)
        assert delivery.delivery_count == count
        with pytest.raises(NotAllowedError):
            dead_letters.dead_letter(delivery.token, "Worse")
        dead_letters.abandon(delivery.token)
    dead_letters.complete(bench.token(DLQ))
    assert bench.texts(DLQ) == []


def test_dead_letters_come_by_their_numbers(bench: Bench) -> None:
    bench.send(*"abc")
    queue = bench.broker.queue("q")
    for delivery in reversed(bench.receive(3)):
        queue.dead_letter(delivery.token)
    assert bench.texts(DLQ) == ["a", "b", "c"]
    assert [text_of(delivery) for delivery in bench.receive(3, DLQ)] == ["a", "b", "c"]


# --- deferred messages ----------------------------------------------------------------------------------------------


def test_a_deferred_message_comes_only_by_its_number(bench: Bench) -> None:
    bench.send("a", "b")
    queue = bench.broker.queue("q")
    queue.defer(bench.token(), {"why": "early"})
    assert [text_of(delivery) for delivery in bench.receive(5)] == ["b"]
    (deferred,) = queue.receive_deferred([1], settles=False)
    assert deferred.state is MessageState.DEFERRED
    assert deferred.delivery_count == 0
    assert deferred.message.application_properties == {"why": "early"}
    with pytest.raises(MessageNotFoundError):
        queue.receive_deferred([1], settles=False)  # it is locked
    queue.abandon(deferred.token)
    (again,) = queue.receive_deferred([1], settles=False)
    assert (again.delivery_count, again.state) == (1, MessageState.DEFERRED)
    queue.complete(again.token)
    with pytest.raises(MessageNotFoundError):
        queue.receive_deferred([1], settles=False)


def test_deferred_messages_may_be_received_and_deleted_deferred_again_or_dead_lettered(bench: Bench) -> None:
    bench.send(*"abc")
    queue = bench.broker.queue("q")
    for delivery in bench.receive(3):
        queue.defer(delivery.token)
    queue.receive_deferred([1], settles=True)
    first, second = queue.receive_deferred([2, 3], settles=False)
    queue.defer(first.token)
    queue.dead_letter(second.token, "Bad")
    assert bench.texts() == ["b"]
    assert bench.take(DLQ).state is MessageState.ACTIVE


def test_deferred_messages_are_received_all_or_none(bench: Bench) -> None:
    bench.send("a", "b")
    queue = bench.broker.queue("q")
    queue.defer(bench.token())
    with pytest.raises(MessageNotFoundError):
        queue.receive_deferred([1, 2], settles=True)
    assert bench.texts() == ["a", "b"]


# --- peeking --------------------------------------------------------------------------------------------------------


def test_peeking_shows_everything_in_order_and_changes_nothing(bench: Bench) -> None:
    bench.send("deferred", "locked", make("scheduled", at=START + 1000), "active")
    queue = bench.broker.queue("q")
    queue.defer(bench.token())
    bench.token()
    shown = queue.peek(0, 10)
    assert [(text_of(each), int(each.state)) for each in shown] == [
        ("deferred", 1),
        ("locked", 0),
        ("scheduled", 2),
        ("active", 0),
    ]
    assert all(each.token is None and each.locked_until is None for each in shown)
    assert [text_of(each) for each in queue.peek(2, 2)] == ["locked", "scheduled"]
    assert queue.peek(5, 10) == [] == queue.peek(0, 0)


def test_peeking_goes_on_over_many_that_are_gone(bench: Bench) -> None:
    queue = bench.broker.queue("q")
    for start in range(0, 4000, 100):
        bench.send(*(str(number) for number in range(start, start + 100)))
    for delivery in bench.receive(1900):
        queue.complete(delivery.token)
    assert [text_of(each) for each in queue.peek(0, 3)] == ["1900", "1901", "1902"]
    assert [text_of(each) for each in queue.peek(3999, 3)] == ["3998", "3999"]
    bench.send("new")
    assert [text_of(each) for each in queue.peek(4000, 3)] == ["3999", "new"]


# --- what is refused ------------------------------------------------------------------------------------------------


def test_an_unknown_or_used_token_is_a_lost_lock(bench: Bench) -> None:
    bench.send("a")
    queue = bench.broker.queue("q")
    token = bench.token()
    queue.complete(token)
    for settle in (queue.complete, queue.abandon, queue.release, queue.defer, queue.dead_letter, queue.renew):
        for lost in (token, uuid4()):
            with pytest.raises(MessageLockLostError):
                settle(lost)


def test_too_large_a_message_fails_the_whole_batch() -> None:
    bench = Bench()
    bench.create(max_message_size=1000)
    with pytest.raises(MessageSizeExceededError, match="1000"):
        bench.send("small", make(body=b"x" * 1000))
    assert bench.texts() == []


def test_a_full_queue_takes_no_more_until_it_is_emptied() -> None:
    bench = Bench()
    bench.create(max_size_in_megabytes=1, max_message_size=1 << 20)
    bench.send(make(body=b"x" * 900_000))
    with pytest.raises(QuotaExceededError):
        bench.send(make(body=b"x" * 200_000))
    bench.receive(settles=True)
    bench.send(make(body=b"x" * 200_000))


def test_disabled_queues_refuse_what_their_status_says() -> None:
    bench = Bench()
    bench.create("none", status="Disabled")
    bench.create("in", status="ReceiveDisabled")
    bench.create("out", status="SendDisabled")
    for name in ("none", "out"):
        with pytest.raises(EntityDisabledError):
            bench.send("a", to=name)
    for name in ("none", "in"):
        with pytest.raises(EntityDisabledError):
            bench.listen(path=name)
    bench.send("a", to="in")
    bench.listen(path="out")


@pytest.mark.parametrize("path", ["none", "q/Subscriptions/s", "none/$DeadLetterQueue", "none/Subscriptions/s"])
def test_what_is_not_there_is_not_found(bench: Bench, path: str) -> None:
    with pytest.raises(EntityNotFoundError, match="could not be found"):
        bench.broker.queue(path)
    with pytest.raises(EntityNotFoundError):
        bench.broker.target(path)


def test_paths_are_the_same_in_any_case_but_nobody_sends_to_sub_queues(bench: Bench) -> None:
    assert bench.broker.queue("Q/$deadletterqueue") is bench.broker.queue(DLQ)
    assert bench.broker.queue("q/$Transfer/$DeadLetterQueue").path == "q/$Transfer/$DeadLetterQueue"
    assert bench.broker.target("Q") is bench.broker.target("sb://127.0.0.1:5672/q")
    with pytest.raises(NotAllowedError):
        bench.broker.target(DLQ)


def test_counts(bench: Bench) -> None:
    bench.send("dead", "locked", "deferred", "active", make("later", at=START + 1000))
    queue = bench.broker.queue("q")
    dead, _, deferred = bench.receive(3)
    queue.dead_letter(dead.token)
    queue.defer(deferred.token)
    bench.advance(10)
    bench.listen(credit=0)
    counts = bench.broker.counts("Q")
    assert (counts.active, counts.dead_letter, counts.scheduled, counts.transfer_dead_letter) == (3, 1, 1, 0)
    shown = [each for path in ("q", DLQ) for each in bench.broker.queue(path).peek(0, 9)]
    assert counts.size_in_bytes == sum(each.message.size for each in shown)
    assert (counts.created_at, counts.updated_at, counts.accessed_at) == (START, START, START + 10)
    bench.broker.clear()
    counts = bench.broker.counts("q")
    assert (counts.total, counts.size_in_bytes) == (0, 0)
