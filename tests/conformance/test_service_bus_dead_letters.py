"""The dead-letter queue of a queue and of a subscription is a queue of its own, with exceptions."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from azure.servicebus import ServiceBusMessage, ServiceBusMessageState, ServiceBusSubQueue
from azure.servicebus.exceptions import ServiceBusError

from tests.conformance.service_bus import DEAD_LETTER, RECEIVE_AND_DELETE, bodies, now

pytestmark = pytest.mark.anyio

KINDS = {
    "two-attempts": {"MaxDeliveryCount": 2},
    "short": {"LockDuration": "PT1S"},
    "sessions": {"RequiresSession": True},
}
TOPICS = [
    {
        "Name": "events",
        "Subscriptions": [{"Name": "careful", "Properties": {"MaxDeliveryCount": 1}}, {"Name": "other"}],
    }
]


async def bury(bus, queue, *texts, reason="Bad", **properties):
    """Send messages and dead-letter them."""
    await bus.send(queue, *texts, **properties)
    receiver = await bus.shared(queue)
    for message in await bus.receive(queue, len(texts)):
        await receiver.dead_letter_message(message, reason=reason)


async def test_dead_letters_are_received_and_completed(both):
    queue = await both.queue()
    await bury(both, queue, "a", "b")
    dead = await both.receive(queue, 2, sub_queue=DEAD_LETTER)
    assert bodies(dead) == ["a", "b"]
    assert [message.dead_letter_reason for message in dead] == ["Bad", "Bad"]
    assert dead[0].locked_until_utc > now()
    await both.complete(queue, *dead, sub_queue=DEAD_LETTER)
    assert await both.dead_letters(queue) == []


async def test_dead_letters_are_received_and_deleted(bus):
    queue = await bus.queue()
    await bury(bus, queue, "a")
    [dead] = await bus.receive(queue, sub_queue=DEAD_LETTER, receive_mode=RECEIVE_AND_DELETE)
    assert str(dead) == "a"
    assert await bus.dead_letters(queue) == []


async def test_a_dead_letter_keeps_its_number_and_its_place_in_time(bus):
    queue = await bus.queue()
    await bus.send(queue, "fine", "bad")
    fine, bad = await bus.receive(queue, 2)
    await (await bus.shared(queue)).dead_letter_message(bad)
    await (await bus.shared(queue)).abandon_message(fine)
    [dead] = await bus.dead_letters(queue)
    assert (dead.sequence_number, dead.enqueued_time_utc) == (bad.sequence_number, bad.enqueued_time_utc)
    assert dead.dead_letter_source is None
    assert bodies(await bus.peek(queue)) == ["fine"]


async def test_attempts_on_a_dead_letter_have_no_limit(bus):
    queue = await bus.queue("two-attempts")
    await bury(bus, queue, "again and again")
    receiver = await bus.shared(queue, sub_queue=DEAD_LETTER)
    counts = []
    for _ in range(5):
        [dead] = await bus.receive(queue, sub_queue=DEAD_LETTER)
        counts.append(dead.delivery_count)
        await receiver.abandon_message(dead)
    assert [count - counts[0] for count in counts] == [0, 1, 2, 3, 4]
    assert len(await bus.dead_letters(queue)) == 1


async def test_a_dead_letter_cannot_be_dead_lettered(bus):
    queue = await bus.queue()
    await bury(bus, queue, "dead", reason="First")
    [dead] = await bus.receive(queue, sub_queue=DEAD_LETTER)
    receiver = await bus.shared(queue, sub_queue=DEAD_LETTER)
    with pytest.raises(ServiceBusError):
        await receiver.dead_letter_message(dead, reason="Second")
    [left] = await bus.dead_letters(queue)
    assert left.dead_letter_reason == "First"


async def test_a_dead_letter_may_be_deferred(bus):
    queue = await bus.queue()
    await bury(bus, queue, "later")
    [dead] = await bus.receive(queue, sub_queue=DEAD_LETTER)
    receiver = await bus.shared(queue, sub_queue=DEAD_LETTER)
    await receiver.defer_message(dead)
    [peeked] = await bus.dead_letters(queue)
    assert peeked.state == ServiceBusMessageState.DEFERRED
    [deferred] = await receiver.receive_deferred_messages(dead.sequence_number)
    assert deferred.dead_letter_reason == "Bad"
    await receiver.complete_message(deferred)
    assert await bus.dead_letters(queue) == []


async def test_the_lock_of_a_dead_letter_runs_out_and_is_renewed(bus):
    queue = await bus.queue("short")
    await bury(bus, queue, "x")
    [dead] = await bus.receive(queue, sub_queue=DEAD_LETTER)
    receiver = await bus.shared(queue, sub_queue=DEAD_LETTER)
    await asyncio.sleep(0.05)
    before = dead.locked_until_utc
    assert await receiver.renew_message_lock(dead) > before
    [again] = await bus.receive(queue, sub_queue=DEAD_LETTER)
    assert (str(again), again.delivery_count) == ("x", dead.delivery_count + 1)


async def test_dead_letters_do_not_expire(bus):
    queue = await bus.queue()
    await bury(bus, queue, "short-lived", time_to_live=timedelta(seconds=1))
    [dead] = await bus.dead_letters(queue)
    await asyncio.sleep((dead.expires_at_utc - now()).total_seconds() + 0.1)
    assert bodies(await bus.receive(queue, sub_queue=DEAD_LETTER)) == ["short-lived"]


async def test_nothing_can_be_sent_to_a_dead_letter_queue(bus):
    queue = await bus.queue()
    with pytest.raises(ServiceBusError):
        sender = await bus.sender(f"{queue}/$DeadLetterQueue")
        await sender.send_messages(ServiceBusMessage("x"))
    assert await bus.dead_letters(queue) == []


async def test_the_dead_letters_of_a_session_queue_have_no_sessions(bus):
    queue = await bus.queue("sessions")
    await bus.send(queue, "x", session_id="s")
    session = await bus.receiver(queue, session_id="s")
    [message] = await session.receive_messages(max_wait_time=5)
    await session.dead_letter_message(message, reason="Bad")
    [dead] = await bus.receive(queue, sub_queue=DEAD_LETTER)
    assert (str(dead), dead.session_id, dead.dead_letter_reason) == ("x", "s", "Bad")
    await bus.complete(queue, dead, sub_queue=DEAD_LETTER)


async def test_each_subscription_has_its_own_dead_letters(both):
    await both.send("events", "happened")
    [message] = await both.receive("events/careful")
    await (await both.shared("events/careful")).abandon_message(message)
    [dead] = await both.receive("events/careful", sub_queue=DEAD_LETTER)
    assert (str(dead), dead.dead_letter_reason) == ("happened", "MaxDeliveryCountExceeded")
    await both.complete("events/careful", dead, sub_queue=DEAD_LETTER)
    assert await both.dead_letters("events/other") == []
    [other] = await both.receive("events/other")
    await both.complete("events/other", other)


async def test_the_transfer_dead_letter_queue_is_there_and_empty(bus):
    queue = await bus.queue()
    receiver = await bus.receiver(queue, sub_queue=ServiceBusSubQueue.TRANSFER_DEAD_LETTER)
    assert await receiver.peek_messages(5) == []


async def test_the_path_of_a_dead_letter_queue_may_be_given(bus):
    queue = await bus.queue()
    await bury(bus, queue, "x")
    for spelling in ("$DeadLetterQueue", "$deadletterqueue"):
        async with bus.client.get_queue_receiver(f"{queue}/{spelling}") as receiver:
            assert bodies(await receiver.peek_messages(1)) == ["x"]
