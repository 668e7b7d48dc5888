"""How messages are taken: peek-lock, receive-and-delete, prefetch, iteration, waiting, several receivers."""

from __future__ import annotations

import asyncio

import pytest
from azure.servicebus import ServiceBusMessage

from tests.conformance.service_bus import RECEIVE_AND_DELETE, bodies

pytestmark = pytest.mark.anyio

SHORT = 0.3
"""Seconds that are enough to see that nothing comes."""


async def test_peek_lock_hides_a_message_until_it_is_settled(both):
    queue = await both.queue()
    await both.send(queue, "one")
    [message] = await both.receive(queue)
    other = await both.receiver(queue)
    assert await other.receive_messages(max_wait_time=SHORT) == []
    await both.complete(queue, message)
    assert await both.peek(queue) == []


async def test_receive_and_delete_removes_at_once(both):
    queue = await both.queue()
    await both.send(queue, "one", "two")
    [message] = await both.receive(queue, receive_mode=RECEIVE_AND_DELETE)
    assert str(message) == "one"
    assert (message.lock_token, message.locked_until_utc) == (None, None)
    assert bodies(await both.peek(queue)) == ["two"]
    receiver = await both.shared(queue, receive_mode=RECEIVE_AND_DELETE)
    with pytest.raises(ValueError, match="RECEIVE_AND_DELETE"):
        await receiver.complete_message(message)


async def test_receive_and_delete_with_prefetch_takes_more_than_is_asked_for(bus):
    queue = await bus.queue()
    await bus.send(queue, *"abcdef")
    receiver = await bus.receiver(queue, receive_mode=RECEIVE_AND_DELETE, prefetch_count=10)
    assert bodies(await receiver.receive_messages(6, max_wait_time=5)) == list("abcdef")
    assert await bus.peek(queue) == []


async def test_no_more_than_asked_for_and_no_fewer_than_there_are(both):
    queue = await both.queue()
    await both.send(queue, *"abcde")
    assert bodies(await both.receive(queue, 2)) == ["a", "b"]
    assert bodies(await both.receive(queue, 10)) == ["c", "d", "e"]


async def test_nothing_within_the_wait_is_an_empty_list(both):
    assert await both.receive(await both.queue(), 5, wait=SHORT) == []


async def test_a_waiting_receiver_gets_what_is_sent_later(both):
    queue = await both.queue()
    waiting = asyncio.create_task(both.receive(queue, wait=10))
    await both.send(queue, "late")
    assert bodies(await waiting) == ["late"]


async def test_iterating_ends_after_the_wait(both):
    queue = await both.queue()
    await both.send(queue, "a", "b", "c")
    receiver = await both.receiver(queue, max_wait_time=SHORT)
    seen = []
    async for message in receiver:
        seen.append(str(message))
        await receiver.complete_message(message)
    assert seen == ["a", "b", "c"]
    assert await both.peek(queue) == []


async def test_an_iteration_can_be_taken_up_again(bus):
    queue = await bus.queue()
    receiver = await bus.receiver(queue, max_wait_time=SHORT)
    for text in ("first", "second"):
        await bus.send(queue, text)
        seen = [message async for message in receiver]
        assert bodies(seen) == [text]
        await receiver.complete_message(seen[0])


async def test_prefetched_messages_are_locked_ahead_and_released_by_closing(bus):
    queue = await bus.queue()
    await bus.send(queue, *"abcde")
    greedy = await bus.receiver(queue, prefetch_count=4)
    assert bodies(await greedy.receive_messages(max_wait_time=5)) == ["a"]
    modest = await bus.receiver(queue)
    assert await modest.receive_messages(5, max_wait_time=SHORT) == []
    await greedy.close()
    freed = await modest.receive_messages(4, max_wait_time=5)
    assert bodies(freed) == ["b", "c", "d", "e"]
    assert [message.delivery_count for message in freed] == [0, 0, 0, 0]


async def test_what_arrives_after_the_call_has_returned_goes_back_uncounted(bus):
    queue = await bus.queue()
    await bus.send(queue, "one")
    receiver = await bus.receiver(queue)
    assert bodies(await receiver.receive_messages(5, max_wait_time=5)) == ["one"]
    await bus.send(queue, "two")  # goes to the credit that is left
    await receiver.close()
    [message] = await bus.receive(queue)
    assert (str(message), message.delivery_count) == ("two", 0)


async def test_closing_many_times_uses_up_no_attempt(bus):
    queue = await bus.queue()
    await bus.send(queue, "patient", "next")
    for _ in range(3):
        async with bus.client.get_queue_receiver(queue, prefetch_count=5) as receiver:
            await receiver.peek_messages(1)
    received = await bus.receive(queue, 2)
    assert [message.delivery_count for message in received] == [0, 0]


async def test_two_receivers_share_a_queue(both):
    queue = await both.queue()
    await (await both.sender(queue)).send_messages([ServiceBusMessage(str(number)) for number in range(20)])
    one, other = await asyncio.gather(both.receiver(queue), both.receiver(queue))
    shares = await asyncio.gather(*(receiver.receive_messages(10, max_wait_time=5) for receiver in (one, other)))
    assert [len(share) for share in shares] == [10, 10]
    assert sorted(bodies(shares[0] + shares[1]), key=int) == [str(number) for number in range(20)]


async def test_waiting_receivers_get_each_message_once(bus):
    queue = await bus.queue()
    receivers = await asyncio.gather(*(bus.receiver(queue) for _ in range(4)))
    waiting = [asyncio.create_task(receiver.receive_messages(max_wait_time=10)) for receiver in receivers]
    await asyncio.sleep(0.1)
    await bus.send(queue, *"abcd")
    shares = await asyncio.gather(*waiting)
    assert sorted(text for share in shares for text in bodies(share)) == list("abcd")


async def test_many_messages_through_one_receiver(bus):
    queue = await bus.queue()
    sender = await bus.sender(queue)
    for start in range(0, 1000, 250):
        await sender.send_messages([ServiceBusMessage(str(number)) for number in range(start, start + 250)])
    receiver = await bus.receiver(queue, prefetch_count=200)
    seen: list[str] = []
    while len(seen) < 1000:
        messages = await receiver.receive_messages(200, max_wait_time=10)
        assert messages
        seen += bodies(messages)
        await asyncio.gather(*(receiver.complete_message(message) for message in messages))
    assert seen == [str(number) for number in range(1000)]
    assert await bus.peek(queue) == []


async def test_a_client_identifier_may_be_given(bus):
    queue = await bus.queue()
    async with bus.client.get_queue_sender(queue, client_identifier="the sender") as sender:
        await sender.send_messages(ServiceBusMessage("x"))
    receiver = await bus.receiver(queue, client_identifier="the receiver")
    assert bodies(await receiver.receive_messages(max_wait_time=5)) == ["x"]
