"""What becomes of a received message: complete, abandon, defer, dead-letter, and what a lost lock means."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from azure.servicebus import ServiceBusMessage, ServiceBusMessageState
from azure.servicebus.exceptions import MessageAlreadySettled, MessageLockLostError, MessageNotFoundError

from tests.conformance.service_bus import RECEIVE_AND_DELETE, bodies, now, until

pytestmark = pytest.mark.anyio

KINDS = {
    "short": {"LockDuration": "PT1S"},
    "three-attempts": {"MaxDeliveryCount": 3},
    "one-attempt": {"MaxDeliveryCount": 1, "LockDuration": "PT1S"},
}


async def received(bus, queue, text="x"):
    """A message and the open receiver that has it."""
    await bus.send(queue, text)
    [message] = await bus.receive(queue)
    return message, await bus.shared(queue)


def believe_locked(message) -> None:
    """Keep the client from refusing by its own clock, so that the bus has to say what it thinks of the lock."""
    message._expiry = now() + timedelta(minutes=1)


async def test_completing_removes(both):
    queue = await both.queue()
    message, receiver = await received(both, queue)
    await receiver.complete_message(message)
    assert await both.peek(queue) == []


async def test_many_settlements_at_once(bus):
    queue = await bus.queue()
    await (await bus.sender(queue)).send_messages([ServiceBusMessage(str(number)) for number in range(100)])
    messages = await bus.receive(queue, 100)
    assert len(messages) == 100
    receiver = await bus.shared(queue)
    settle = (receiver.complete_message, receiver.abandon_message, receiver.defer_message, receiver.dead_letter_message)
    await asyncio.gather(*(settle[number % 4](message) for number, message in enumerate(messages)))
    states = [ServiceBusMessageState.ACTIVE, ServiceBusMessageState.DEFERRED] * 25
    assert [message.state for message in await bus.peek(queue)] == states
    assert len(await bus.dead_letters(queue)) == 25


async def test_abandoning_counts_and_puts_the_message_back_in_its_place(both):
    queue = await both.queue()
    await both.send(queue, "a", "b")
    [first] = await both.receive(queue)
    await (await both.shared(queue)).abandon_message(first)
    again = await both.receive(queue, 2)
    assert [(str(message), message.delivery_count) for message in again] == [("a", 1), ("b", 0)]
    assert again[0].sequence_number == first.sequence_number
    assert again[0].enqueued_time_utc == first.enqueued_time_utc
    assert again[0].lock_token != first.lock_token


async def test_the_last_attempt_is_the_limit(both):
    queue = await both.queue("three-attempts")
    await both.send(queue, "unlucky", subject="kept", application_properties={"mine": 1})
    counts = []
    for _ in range(3):
        [message] = await both.receive(queue)
        counts.append(message.delivery_count)
        await (await both.shared(queue)).abandon_message(message)
    assert counts == [0, 1, 2]
    assert await both.peek(queue) == []
    [dead] = await both.dead_letters(queue)
    assert (dead.dead_letter_reason, dead.delivery_count) == ("MaxDeliveryCountExceeded", 3)
    assert dead.dead_letter_error_description
    assert (str(dead), dead.subject, dead.application_properties[b"mine"]) == ("unlucky", "kept", 1)
    assert dead.sequence_number == message.sequence_number


async def test_a_deferred_message_is_only_had_by_its_number(both):
    queue = await both.queue()
    message, receiver = await received(both, queue)
    await receiver.defer_message(message)
    assert await both.receive(queue, wait=0.3) == []
    [deferred] = await receiver.receive_deferred_messages(message.sequence_number)
    assert (str(deferred), deferred.sequence_number) == ("x", message.sequence_number)
    assert deferred.lock_token and deferred.locked_until_utc > now()
    await receiver.complete_message(deferred)
    assert await both.peek(queue) == []
    with pytest.raises(MessageNotFoundError):
        await receiver.receive_deferred_messages(message.sequence_number)


async def test_several_deferred_messages_at_once(bus):
    queue = await bus.queue()
    await bus.send(queue, *"abc")
    receiver = await bus.shared(queue)
    numbers = []
    for message in await bus.receive(queue, 3):
        numbers.append(message.sequence_number)
        await receiver.defer_message(message)
    deferred = await receiver.receive_deferred_messages(numbers[::-1])
    assert sorted(bodies(deferred)) == ["a", "b", "c"]
    await receiver.complete_message(deferred[0])
    await receiver.dead_letter_message(deferred[1], reason="no good", error_description="at all")
    await receiver.abandon_message(deferred[2])
    [dead] = await bus.dead_letters(queue)
    assert (dead.dead_letter_reason, dead.dead_letter_error_description) == ("no good", "at all")
    [left] = await bus.peek(queue)
    assert str(left) == str(deferred[2])


async def test_a_deferred_message_that_is_abandoned_stays_deferred(bus):
    queue = await bus.queue()
    message, receiver = await received(bus, queue)
    await receiver.defer_message(message)
    [deferred] = await receiver.receive_deferred_messages(message.sequence_number)
    await receiver.abandon_message(deferred)
    assert await bus.receive(queue, wait=0.3) == []
    [again] = await receiver.receive_deferred_messages(message.sequence_number)
    assert again.delivery_count > message.delivery_count
    await receiver.defer_message(again)
    [peeked] = await bus.peek(queue)
    assert peeked.state == ServiceBusMessageState.DEFERRED


async def test_a_deferred_message_comes_locked_to_whoever_asks_first(bus):
    queue = await bus.queue()
    message, receiver = await received(bus, queue)
    await receiver.defer_message(message)
    await receiver.receive_deferred_messages(message.sequence_number)
    other = await bus.receiver(queue)
    with pytest.raises((MessageNotFoundError, MessageLockLostError)):
        await other.receive_deferred_messages(message.sequence_number)


async def test_a_deferred_message_received_and_deleted(bus):
    queue = await bus.queue()
    message, receiver = await received(bus, queue)
    await receiver.defer_message(message)
    taker = await bus.receiver(queue, receive_mode=RECEIVE_AND_DELETE)
    assert bodies(await taker.receive_deferred_messages([message.sequence_number])) == ["x"]
    assert await bus.peek(queue) == []


async def test_numbers_of_messages_that_are_not_deferred_are_not_found(bus):
    queue = await bus.queue()
    await bus.send(queue, "active")
    receiver = await bus.shared(queue)
    for number in (1, 999):
        with pytest.raises(MessageNotFoundError):
            await receiver.receive_deferred_messages(number)


async def test_dead_lettering_with_reason_and_description(both):
    queue = await both.queue()
    await both.send(queue, "bad", application_properties={"mine": "kept"}, message_id="an id")
    [message] = await both.receive(queue)
    receiver = await both.shared(queue)
    await receiver.dead_letter_message(message, reason="Unreadable", error_description="Not ours: ü")
    assert await both.peek(queue) == []
    [dead] = await both.dead_letters(queue)
    assert (dead.dead_letter_reason, dead.dead_letter_error_description) == ("Unreadable", "Not ours: ü")
    assert (str(dead), dead.message_id, dead.application_properties[b"mine"]) == ("bad", "an id", b"kept")


async def test_dead_lettering_without_a_reason(both):
    queue = await both.queue()
    message, receiver = await received(both, queue)
    await receiver.dead_letter_message(message)
    [dead] = await both.dead_letters(queue)
    assert (dead.dead_letter_reason, dead.dead_letter_error_description) == (None, None)


async def test_a_message_is_settled_once(both):
    queue = await both.queue()
    message, receiver = await received(both, queue)
    await receiver.complete_message(message)
    for settle in (receiver.complete_message, receiver.abandon_message, receiver.dead_letter_message):
        with pytest.raises(MessageAlreadySettled):
            await settle(message)


@pytest.mark.parametrize("how", ["complete", "abandon", "defer", "dead_letter"])
async def test_another_receiver_may_settle_by_the_lock_token(bus, how):
    queue = await bus.queue()
    await bus.send(queue, "x")
    async with bus.client.get_queue_receiver(queue) as first:
        [message] = await first.receive_messages(max_wait_time=5)
    other = await bus.shared(queue)
    await getattr(other, f"{how}_message")(message)
    left, dead = await bus.peek(queue), await bus.dead_letters(queue)
    states = [found.state.name for found in left]
    assert (states, len(dead)) == {
        "complete": ([], 0),
        "abandon": (["ACTIVE"], 0),
        "defer": (["DEFERRED"], 0),
        "dead_letter": ([], 1),
    }[how]


async def test_closing_the_receiver_leaves_its_locks(bus):
    queue = await bus.queue()
    await bus.send(queue, "x")
    async with bus.client.get_queue_receiver(queue) as receiver:
        [message] = await receiver.receive_messages(max_wait_time=5)
    assert await bus.receive(queue, wait=0.3) == []
    await bus.complete(queue, message)
    assert await bus.peek(queue) == []


async def test_a_lock_that_ran_out_counts_as_an_attempt(both):
    queue = await both.queue("short")
    message, receiver = await received(both, queue)
    [again] = await both.receive(queue)
    assert again.locked_until_utc > message.locked_until_utc
    assert (again.sequence_number, again.delivery_count) == (message.sequence_number, 1)
    with pytest.raises(MessageLockLostError):
        await receiver.complete_message(message)
    await receiver.complete_message(again)


async def test_the_bus_refuses_every_use_of_a_lost_lock(bus):
    queue = await bus.queue("short")
    message, receiver = await received(bus, queue)
    await until(message.locked_until_utc)
    believe_locked(message)
    for settle in (receiver.complete_message, receiver.abandon_message, receiver.defer_message):
        with pytest.raises(MessageLockLostError):
            await settle(message)
    with pytest.raises(MessageLockLostError):
        await receiver.dead_letter_message(message, reason="too late")
    with pytest.raises(MessageLockLostError):
        await receiver.renew_message_lock(message)
    other = await bus.receiver(queue)
    with pytest.raises(MessageLockLostError):
        await other.complete_message(message)
    [left] = await bus.peek(queue)
    assert left.delivery_count == 1
    assert await bus.dead_letters(queue) == []


async def test_a_lock_that_ran_out_on_the_last_attempt_dead_letters(bus):
    queue = await bus.queue("one-attempt")
    await received(bus, queue)
    [dead] = await bus.until_peeked(queue, 1, sub_queue="deadletter")
    assert (dead.dead_letter_reason, dead.delivery_count) == ("MaxDeliveryCountExceeded", 1)


async def test_peeked_messages_cannot_be_settled(bus):
    queue = await bus.queue()
    await bus.send(queue, "x")
    [peeked] = await bus.peek(queue)
    with pytest.raises(ValueError, match="peeked"):
        await (await bus.shared(queue)).complete_message(peeked)
