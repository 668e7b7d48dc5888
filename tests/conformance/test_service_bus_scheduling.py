"""Messages for later: scheduled, cancelled, enqueued when their time comes."""

from __future__ import annotations

from datetime import timedelta

import pytest
from azure.servicebus import ServiceBusMessage, ServiceBusMessageState
from azure.servicebus.exceptions import MessageNotFoundError

from tests.conformance.service_bus import bodies, now

pytestmark = pytest.mark.anyio

TOPICS = [{"Name": "news", "Subscriptions": [{"Name": "all"}]}]
KINDS = {"sessions": {"RequiresSession": True}}
HOUR = timedelta(hours=1)
SOON = timedelta(seconds=0.6)


async def test_a_scheduled_message_comes_at_its_time(both):
    queue, due = await both.queue(), now() + SOON
    [number] = await (await both.sender(queue)).schedule_messages(ServiceBusMessage("later"), due)
    [waiting] = await both.peek(queue)
    assert (waiting.sequence_number, waiting.state) == (number, ServiceBusMessageState.SCHEDULED)
    [message] = await both.receive(queue)
    assert str(message) == "later"
    assert message.enqueued_time_utc >= due - timedelta(milliseconds=1)
    assert message.state == ServiceBusMessageState.ACTIVE
    assert abs(message.scheduled_enqueue_time_utc - due) < timedelta(milliseconds=2)


async def test_it_gets_a_new_number_and_tells_the_old_one(bus):
    queue = await bus.queue()
    [number] = await (await bus.sender(queue)).schedule_messages(ServiceBusMessage("later"), now() + SOON)
    await bus.send(queue, "before")
    before, message = await bus.receive(queue, 1) + await bus.receive(queue, 1)
    assert bodies([before, message]) == ["before", "later"]
    assert message.sequence_number > before.sequence_number
    assert message.sequence_number != number
    assert message.enqueued_sequence_number == number


async def test_sending_with_a_scheduled_time_schedules(both):
    queue, due = await both.queue(), now() + SOON
    await both.send(queue, "later", scheduled_enqueue_time_utc=due)
    assert [message.state for message in await both.peek(queue)] == [ServiceBusMessageState.SCHEDULED]
    [message] = await both.receive(queue)
    assert message.enqueued_time_utc >= due - timedelta(milliseconds=1)


async def test_a_time_that_is_past_means_now(bus):
    queue = await bus.queue()
    sender = await bus.sender(queue)
    await sender.send_messages(ServiceBusMessage("sent", scheduled_enqueue_time_utc=now() - HOUR))
    await sender.schedule_messages(ServiceBusMessage("scheduled"), now() - HOUR)
    assert bodies(await bus.receive(queue, 1) + await bus.receive(queue, 1)) == ["sent", "scheduled"]


async def test_several_are_scheduled_at_once(both):
    queue = await both.queue()
    sender = await both.sender(queue)
    messages = [ServiceBusMessage(str(number), message_id=str(number)) for number in range(3)]
    numbers = await sender.schedule_messages(messages, now() + HOUR)
    waiting = await both.peek(queue)
    assert [message.sequence_number for message in waiting] == list(numbers)
    assert bodies(waiting) == ["0", "1", "2"]
    await sender.cancel_scheduled_messages(list(numbers[:2]))
    assert bodies(await both.peek(queue)) == ["2"]


async def test_a_batch_may_hold_scheduled_messages(bus):
    queue = await bus.queue()
    later = ServiceBusMessage("later", scheduled_enqueue_time_utc=now() + HOUR)
    await (await bus.sender(queue)).send_messages([ServiceBusMessage("now"), later])
    assert {str(message): message.state.name for message in await bus.peek(queue)} == {
        "now": "ACTIVE",
        "later": "SCHEDULED",
    }


async def test_a_cancelled_message_is_gone_and_can_be_cancelled_once(both):
    queue = await both.queue()
    sender = await both.sender(queue)
    [number] = await sender.schedule_messages(ServiceBusMessage("never"), now() + HOUR)
    await sender.cancel_scheduled_messages(number)
    assert await both.peek(queue) == []
    with pytest.raises(MessageNotFoundError):
        await sender.cancel_scheduled_messages(number)


async def test_what_is_not_scheduled_cannot_be_cancelled(bus):
    queue = await bus.queue()
    await bus.send(queue, "active")
    sender = await bus.sender(queue)
    for number in (1, 999):
        with pytest.raises(MessageNotFoundError):
            await sender.cancel_scheduled_messages(number)
    assert bodies(await bus.peek(queue)) == ["active"]


async def test_a_message_that_came_can_no_longer_be_cancelled(bus):
    queue = await bus.queue()
    sender = await bus.sender(queue)
    [number] = await sender.schedule_messages(ServiceBusMessage("came"), now() + timedelta(seconds=0.1))
    await bus.receive(queue)
    with pytest.raises(MessageNotFoundError):
        await sender.cancel_scheduled_messages(number)


async def test_scheduled_messages_come_in_the_order_of_their_times(bus):
    queue = await bus.queue()
    sender = await bus.sender(queue)
    start = now() + timedelta(seconds=0.3)
    for place in (2, 0, 1):
        await sender.schedule_messages(ServiceBusMessage(str(place)), start + timedelta(milliseconds=100 * place))
    assert bodies([(await bus.receive(queue))[0] for _ in range(3)]) == ["0", "1", "2"]


async def test_all_properties_of_a_scheduled_message_arrive(bus):
    queue = await bus.queue()
    sent = ServiceBusMessage("x", application_properties={"k": "v"}, message_id="m", subject="s", correlation_id="c")
    await (await bus.sender(queue)).schedule_messages(sent, now() + timedelta(seconds=0.1))
    [message] = await bus.receive(queue)
    assert (message.message_id, message.subject, message.correlation_id) == ("m", "s", "c")
    assert message.application_properties == {b"k": b"v"}


async def test_a_message_for_a_session_may_be_scheduled(bus):
    queue = await bus.queue("sessions")
    sender = await bus.sender(queue)
    await sender.schedule_messages(ServiceBusMessage("x", session_id="s"), now() + timedelta(seconds=0.1))
    receiver = await bus.receiver(queue, session_id="s")
    assert bodies(await receiver.receive_messages(max_wait_time=5)) == ["x"]


async def test_scheduling_to_a_topic(bus):
    sender = bus.client.get_topic_sender("news")
    async with sender:
        [number] = await sender.schedule_messages(ServiceBusMessage("cancelled"), now() + HOUR)
        await sender.schedule_messages(ServiceBusMessage("later"), now() + timedelta(seconds=0.2))
        await sender.cancel_scheduled_messages(number)
        with pytest.raises(MessageNotFoundError):
            await sender.cancel_scheduled_messages(number)
    assert bodies(await bus.receive("news/all")) == ["later"]
