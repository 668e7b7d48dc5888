"""Time to live: of the message, of the queue, with and without dead-lettering."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from azure.servicebus import ServiceBusMessage

from tests.conformance.service_bus import DEAD_LETTER, bodies, now

pytestmark = pytest.mark.anyio

KINDS = {
    "careful": {"DeadLetteringOnMessageExpiration": True},
    "fleeting": {"DefaultMessageTimeToLive": "PT1S", "DeadLetteringOnMessageExpiration": True},
    "careful-sessions": {"DeadLetteringOnMessageExpiration": True, "RequiresSession": True},
}
TOPICS = [
    {
        "Name": "fleeting-news",
        "Properties": {"DefaultMessageTimeToLive": "PT1S"},
        "Subscriptions": [
            {"Name": "forgetful"},
            {"Name": "careful", "Properties": {"DeadLetteringOnMessageExpiration": True}},
        ],
    }
]


def lives(milliseconds: int, text: str = "short-lived", **properties) -> ServiceBusMessage:
    """A message with a time to live; the client's own setting knows whole seconds only."""
    message = ServiceBusMessage(text, **properties)
    message.raw_amqp_message.header.time_to_live = milliseconds
    return message


async def test_an_expired_message_is_dropped(both):
    queue = await both.queue()
    await both.send(queue, lives(100), "long-lived")
    await both.until_peeked(queue, 1)
    assert bodies(await both.receive(queue, 1)) == ["long-lived"]
    assert await both.dead_letters(queue) == []


async def test_an_expired_message_is_dead_lettered_where_the_queue_says_so(both):
    queue = await both.queue("careful")
    await both.send(queue, lives(100, application_properties={"mine": 1}))
    [dead] = await both.receive(queue, sub_queue=DEAD_LETTER)
    assert (str(dead), dead.dead_letter_reason) == ("short-lived", "TTLExpiredException")
    assert dead.dead_letter_error_description
    assert dead.application_properties[b"mine"] == 1
    assert await both.peek(queue) == []


async def test_a_waiting_receiver_never_sees_an_expired_message(bus):
    queue = await bus.queue()
    await bus.send(queue, lives(1))
    await asyncio.sleep(0.05)
    assert await bus.receive(queue, wait=0.3) == []


async def test_the_queues_time_to_live_is_the_default_and_the_limit(bus):
    queue = await bus.queue("fleeting")
    await bus.send(queue, "without", lives(3_600_000, "longer"))
    [without, longer] = await bus.peek(queue)
    assert without.enqueued_time_utc <= now() + timedelta(seconds=1)
    dead = await bus.until_peeked(queue, 2, sub_queue=DEAD_LETTER)
    assert bodies(dead) == ["without", "longer"]
    assert {message.dead_letter_reason for message in dead} == {"TTLExpiredException"}


async def test_a_message_may_live_shorter_than_the_queue_says(bus):
    queue = await bus.queue("fleeting")
    await bus.send(queue, "longer", lives(50, "shorter"))
    [first] = await bus.until_peeked(queue, 1, sub_queue=DEAD_LETTER)
    assert str(first) == "shorter"


async def test_a_locked_message_can_be_completed_after_it_expired(bus):
    queue = await bus.queue("careful")
    await bus.send(queue, lives(300))
    [message] = await bus.receive(queue)
    await asyncio.sleep(0.4)
    await bus.complete(queue, message)
    assert await bus.peek(queue) == []
    assert await bus.dead_letters(queue) == []


async def test_a_message_that_expired_under_its_lock_does_not_come_again(bus):
    queue = await bus.queue("careful")
    await bus.send(queue, lives(300))
    [message] = await bus.receive(queue)
    await asyncio.sleep(0.4)
    await (await bus.shared(queue)).abandon_message(message)
    [dead] = await bus.until_peeked(queue, 1, sub_queue=DEAD_LETTER)
    assert dead.dead_letter_reason == "TTLExpiredException"
    assert await bus.receive(queue, wait=0.2) == []


async def test_a_deferred_message_does_not_expire(bus):
    queue = await bus.queue("careful")
    await bus.send(queue, lives(300))
    [message] = await bus.receive(queue)
    receiver = await bus.shared(queue)
    await receiver.defer_message(message)
    await asyncio.sleep(0.4)
    [deferred] = await receiver.receive_deferred_messages(message.sequence_number)
    await receiver.complete_message(deferred)


async def test_time_to_live_starts_when_a_scheduled_message_is_enqueued(bus):
    queue = await bus.queue()
    sender = await bus.sender(queue)
    await sender.schedule_messages(lives(30_000, "scheduled"), now() + timedelta(seconds=0.2))
    [message] = await bus.receive(queue)
    assert message.expires_at_utc == message.enqueued_time_utc + timedelta(seconds=30)


async def test_a_message_of_a_session_expires_too(bus):
    queue = await bus.queue("careful-sessions")
    await bus.send(queue, lives(100, session_id="s"))
    [dead] = await bus.receive(queue, sub_queue=DEAD_LETTER)
    assert (dead.dead_letter_reason, dead.session_id) == ("TTLExpiredException", "s")


async def test_a_topics_time_to_live_counts_in_its_subscriptions(bus):
    await bus.send("fleeting-news", "news")
    [dead] = await bus.receive("fleeting-news/careful", sub_queue=DEAD_LETTER)
    assert (str(dead), dead.dead_letter_reason) == ("news", "TTLExpiredException")
    assert await bus.until_peeked("fleeting-news/forgetful", 0) == []
    assert await bus.dead_letters("fleeting-news/forgetful") == []
