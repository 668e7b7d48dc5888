"""Looking at a queue without taking anything: paging, states, what a peeked message shows."""

from __future__ import annotations

from datetime import timedelta

import pytest
from azure.servicebus import ServiceBusMessage, ServiceBusMessageState

from tests.conformance.service_bus import bodies, now

pytestmark = pytest.mark.anyio

KINDS = {"sessions": {"RequiresSession": True}}


async def test_peeking_takes_nothing(both):
    queue = await both.queue()
    await both.send(queue, "x")
    for _ in range(3):
        [peeked] = await both.peek(queue)
        assert (str(peeked), peeked.delivery_count, peeked.sequence_number) == ("x", 0, 1)
        assert peeked.enqueued_time_utc <= now() + timedelta(seconds=5)
        assert peeked.state == ServiceBusMessageState.ACTIVE
    assert bodies(await both.receive(queue)) == ["x"]


async def test_a_receiver_peeks_on_from_where_it_was(both):
    queue = await both.queue()
    sender = await both.sender(queue)
    await sender.send_messages([ServiceBusMessage(str(number)) for number in range(7)])
    receiver = await both.receiver(queue)
    pages = [bodies(await receiver.peek_messages(3)) for _ in range(3)]
    assert pages == [["0", "1", "2"], ["3", "4", "5"], ["6"]]
    assert await receiver.peek_messages(3) == []
    await sender.send_messages(ServiceBusMessage("7"))
    assert bodies(await receiver.peek_messages(3)) == ["7"]


async def test_peeking_from_a_sequence_number(bus):
    queue = await bus.queue()
    await bus.send(queue, *"abcd")
    receiver = await bus.shared(queue)
    assert bodies(await receiver.peek_messages(10, sequence_number=3)) == ["c", "d"]
    assert await receiver.peek_messages(10, sequence_number=5) == []


async def test_an_empty_queue_shows_nothing(both):
    assert await both.peek(await both.queue()) == []


async def test_locked_deferred_and_scheduled_messages_are_shown_with_their_state(both):
    queue = await both.queue()
    await both.send(queue, "deferred", "locked", "active")
    deferred, _ = await both.receive(queue, 2)
    await (await both.shared(queue)).defer_message(deferred)
    later = now() + timedelta(hours=1)
    await (await both.sender(queue)).schedule_messages(ServiceBusMessage("scheduled"), later)
    peeked = await both.peek(queue)
    assert [(str(message), message.state.name) for message in peeked] == [
        ("deferred", "DEFERRED"),
        ("locked", "ACTIVE"),
        ("active", "ACTIVE"),
        ("scheduled", "SCHEDULED"),
    ]
    assert abs(peeked[-1].scheduled_enqueue_time_utc - later) < timedelta(milliseconds=2)


async def test_a_peeked_message_shows_all_of_its_properties(bus):
    queue = await bus.queue()
    sent = ServiceBusMessage(
        "x", application_properties={"k": 1}, message_id="m", subject="s", time_to_live=timedelta(minutes=5)
    )
    await bus.send(queue, sent)
    [peeked] = await bus.peek(queue)
    assert (peeked.message_id, peeked.subject, peeked.application_properties) == ("m", "s", {b"k": 1})
    assert peeked.expires_at_utc == peeked.enqueued_time_utc + timedelta(minutes=5)


async def test_a_session_receiver_peeks_its_own_session(bus):
    queue = await bus.queue("sessions")
    await bus.send(queue, "mine", session_id="mine")
    await bus.send(queue, "other", session_id="other")
    await bus.send(queue, "mine too", session_id="mine")
    receiver = await bus.receiver(queue, session_id="mine")
    assert bodies(await receiver.peek_messages(10)) == ["mine", "mine too"]


async def test_expired_messages_are_not_shown(bus):
    queue = await bus.queue()
    message = ServiceBusMessage("gone")
    message.raw_amqp_message.header.time_to_live = 50
    await bus.send(queue, message, "here")
    assert bodies(await bus.until_peeked(queue, 1)) == ["here"]


async def test_many_messages_are_peeked_in_one_call(bus):
    queue = await bus.queue()
    await (await bus.sender(queue)).send_messages([ServiceBusMessage("x" * 100) for _ in range(300)])
    assert len(await bus.peek(queue, 250)) == 250
