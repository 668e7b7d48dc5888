"""Duplicate detection: the same message id within the window is accepted and dropped."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from azure.servicebus import ServiceBusMessage
from azure.servicebus.amqp import AmqpAnnotatedMessage

from tests.conformance.service_bus import bodies, now

pytestmark = pytest.mark.anyio

KINDS = {
    "unique": {"RequiresDuplicateDetection": True, "DuplicateDetectionHistoryTimeWindow": "PT5M"},
    "unique-briefly": {"RequiresDuplicateDetection": True, "DuplicateDetectionHistoryTimeWindow": "PT1S"},
}
TOPICS = [
    {"Name": "unique-news", "Properties": {"RequiresDuplicateDetection": True}, "Subscriptions": [{"Name": "all"}]}
]


async def test_a_second_message_of_the_same_id_is_dropped(both):
    queue = await both.queue("unique")
    await both.send(queue, "first", "second", message_id="same")
    await both.send(queue, "other", message_id="other")
    assert bodies(await both.peek(queue)) == ["first", "other"]


async def test_duplicates_within_a_batch_are_dropped(both):
    queue = await both.queue("unique")
    messages = [ServiceBusMessage(str(number), message_id=str(number % 3)) for number in range(9)]
    await (await both.sender(queue)).send_messages(messages)
    assert bodies(await both.peek(queue)) == ["0", "1", "2"]


async def test_the_id_is_remembered_when_the_message_is_gone(bus):
    queue = await bus.queue("unique")
    await bus.send(queue, "first", message_id="same")
    [message] = await bus.receive(queue)
    await bus.complete(queue, message)
    await bus.send(queue, "again", message_id="same")
    assert await bus.peek(queue) == []


async def test_the_id_is_forgotten_after_the_window(bus):
    queue = await bus.queue("unique-briefly")
    await bus.send(queue, "first", message_id="same")
    await asyncio.sleep(1.1)
    await bus.send(queue, "again", message_id="same")
    assert bodies(await bus.peek(queue)) == ["first", "again"]


async def test_messages_without_an_id_are_never_duplicates(bus):
    queue = await bus.queue("unique")
    sender = await bus.sender(queue)
    for _ in range(2):
        await sender.send_messages(AmqpAnnotatedMessage(data_body=b"x"))
    assert len(await bus.peek(queue)) == 2


async def test_a_queue_that_does_not_detect_keeps_both(bus):
    queue = await bus.queue()
    await bus.send(queue, "first", "second", message_id="same")
    assert bodies(await bus.peek(queue)) == ["first", "second"]


async def test_ids_are_compared_exactly(bus):
    queue = await bus.queue("unique")
    for id_ in ("a", "A", "a ", "ä"):
        await bus.send(queue, id_, message_id=id_)
    assert bodies(await bus.peek(queue)) == ["a", "A", "a ", "ä"]


async def test_scheduled_messages_count(bus):
    queue = await bus.queue("unique")
    sender = await bus.sender(queue)
    await sender.schedule_messages(ServiceBusMessage("scheduled", message_id="same"), now() + timedelta(hours=1))
    await sender.send_messages(ServiceBusMessage("sent", message_id="same"))
    assert bodies(await bus.peek(queue)) == ["scheduled"]


async def test_a_topic_detects_before_it_fans_out(bus):
    await bus.send("unique-news", "first", "second", message_id="same")
    assert bodies(await bus.peek("unique-news/all")) == ["first"]
