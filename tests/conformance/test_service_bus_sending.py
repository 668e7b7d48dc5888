"""What is sent arrives as it was sent: properties, bodies, batches, sizes."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from azure.servicebus import ServiceBusMessage
from azure.servicebus.amqp import AmqpAnnotatedMessage, AmqpMessageBodyType, AmqpMessageHeader
from azure.servicebus.exceptions import MessageSizeExceededError

from tests.conformance.service_bus import Bus, bodies, now

pytestmark = pytest.mark.anyio

LIMIT = 262_144
KINDS = {"two-attempts": {"MaxDeliveryCount": 2}}
QUEUES = [{"Name": "there-and-back-by-aio"}, {"Name": "there-and-back-by-sync"}]


async def returned(bus: Bus, message: ServiceBusMessage | AmqpAnnotatedMessage):
    """The message as it comes back."""
    queue = "there-and-back-by-aio" if bus.is_async else "there-and-back-by-sync"
    await (await bus.sender(queue)).send_messages(message)
    [received] = await bus.receive(queue)
    await bus.complete(queue, received)
    return received


async def test_a_message_comes_back_as_it_was_sent(both):
    sent = ServiceBusMessage(
        "Grüße an alle: 你好",
        application_properties={"color": "red", "weight": 1.5},
        session_id="a session",
        message_id="an id",
        content_type="text/plain",
        correlation_id="a correlation id",
        subject="a subject",
        partition_key="a session",
        to="somebody",
        reply_to="replies",
        reply_to_session_id="a reply session",
        time_to_live=timedelta(minutes=2),
    )
    received = await returned(both, sent)
    assert str(received) == "Grüße an alle: 你好"
    assert received.application_properties == {b"color": b"red", b"weight": 1.5}
    for name in (
        "session_id", "message_id", "content_type", "correlation_id", "subject", "partition_key", "to", "reply_to",
        "reply_to_session_id", "time_to_live",
    ):  # fmt: skip
        assert getattr(received, name) == getattr(sent, name), name
    assert received.expires_at_utc == received.enqueued_time_utc + timedelta(minutes=2)


async def test_a_message_without_properties_has_none_when_it_comes_back(bus):
    received = await returned(bus, AmqpAnnotatedMessage(data_body=b""))
    assert b"".join(received.body) == b""
    for name in ("message_id", "session_id", "content_type", "correlation_id", "subject", "to", "reply_to"):
        assert getattr(received, name) is None, name
    assert (received.time_to_live, received.partition_key, received.dead_letter_reason) == (None, None, None)
    assert not received.application_properties


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("text", b"text"),
        ("", b""),
        ({"TYPE": "BINARY", "VALUE": b"\x00\xff"}, b"\x00\xff"),
        (0, 0),
        (-1, -1),
        (2**31 - 1, 2**31 - 1),
        ({"TYPE": "LONG", "VALUE": 2**53}, 2**53),
        ({"TYPE": "UBYTE", "VALUE": 255}, 255),
        ({"TYPE": "SYMBOL", "VALUE": b"a-symbol"}, b"a-symbol"),
        (1e300, 1e300),
        (True, True),
        (False, False),
        (None, None),
        (UUID(int=7), UUID(int=7)),
        (datetime(2026, 11, 22, 1, 2, 3, tzinfo=UTC), 1_795_309_323_000),
    ],
)
async def test_application_properties_keep_their_type(bus, value, expected):
    received = await returned(bus, ServiceBusMessage("x", application_properties={"key": value}))
    assert received.application_properties == {b"key": expected}
    assert type(received.application_properties[b"key"]) is type(expected)


@pytest.mark.parametrize("id_", ["text", b"\x01\x02", 2**40, UUID(int=9)])
async def test_ids_keep_their_type(bus, id_):
    received = await returned(
        bus, AmqpAnnotatedMessage(data_body=b"x", properties={"message_id": id_, "correlation_id": id_})
    )
    raw = received.raw_amqp_message.properties
    expected = id_.encode() if isinstance(id_, str) else id_
    assert (raw.message_id, raw.correlation_id) == (expected, expected)


async def test_the_other_amqp_properties_are_kept(bus):
    given = {
        "user_id": b"somebody",
        "content_encoding": "gzip",
        "group_sequence": 7,
        "creation_time": 1_700_000_000_000,
        "absolute_expiry_time": 4_000_000_000_000,
    }
    raw = (await returned(bus, AmqpAnnotatedMessage(data_body=b"x", properties=given))).raw_amqp_message.properties
    assert {name: getattr(raw, name) for name in given} == {**given, "content_encoding": b"gzip"}


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ({"data_body": [b"one", b"two", b""]}, AmqpMessageBodyType.DATA),
        ({"sequence_body": [1, b"two", [True, None]]}, AmqpMessageBodyType.SEQUENCE),
        ({"value_body": {b"key": [-123, b"data", False, None, 1.25]}}, AmqpMessageBodyType.VALUE),
        ({"value_body": 42}, AmqpMessageBodyType.VALUE),
    ],
    ids=["data", "sequence", "map", "number"],
)
async def test_bodies_of_every_kind(bus, body, kind):
    received = await returned(bus, AmqpAnnotatedMessage(**body))
    assert received.body_type == kind
    [expected] = body.values()
    if kind == AmqpMessageBodyType.DATA:
        assert list(received.body) == expected
    elif kind == AmqpMessageBodyType.SEQUENCE:
        assert list(received.body) in ([expected], expected)
    else:
        assert received.body == expected


async def test_a_message_without_a_body(bus):
    received = await returned(bus, ServiceBusMessage(None, subject="nothing to say"))
    assert (received.body_type, received.body, received.subject) == (AmqpMessageBodyType.VALUE, None, "nothing to say")


async def test_header_annotations_and_footer_are_kept(bus):
    received = await returned(
        bus,
        AmqpAnnotatedMessage(
            data_body=b"x",
            header={"priority": 9, "durable": True, "time_to_live": 60_000, "first_acquirer": True},
            annotations={"x-mine": "kept", "x-number": 5},
            delivery_annotations={"for-the-link": "too"},
            footer={"foot": "note"},
        ),
    )
    raw = received.raw_amqp_message
    assert (raw.header.priority, raw.header.durable, raw.header.time_to_live) == (9, True, 60_000)
    assert (raw.annotations[b"x-mine"], raw.annotations[b"x-number"]) == (b"kept", 5)
    assert raw.delivery_annotations[b"for-the-link"] == b"too"
    assert raw.footer == {b"foot": b"note"}


async def test_what_the_bus_adds_to_a_message(both):
    queue, before = await both.queue(), now()
    await both.send(queue, "first", "second")
    received = await both.receive(queue, 2)
    for message in received:
        assert before - timedelta(seconds=5) < message.enqueued_time_utc < now() + timedelta(seconds=5)
        assert timedelta(seconds=50) < message.locked_until_utc - now() < timedelta(seconds=61)
        assert message.delivery_count == 0
        assert message.raw_amqp_message.annotations[b"x-opt-message-state"] == 0
        assert isinstance(message.lock_token, UUID) and message.lock_token.int
        assert message.raw_amqp_message.delivery_annotations[b"x-opt-lock-token"] == message.lock_token
        assert message.dead_letter_source is None
    first, second = received
    assert 0 < first.sequence_number < second.sequence_number
    assert first.enqueued_time_utc <= second.enqueued_time_utc
    assert first.lock_token != second.lock_token


async def test_sequence_numbers_are_each_queues_own(bus):
    one, other = await bus.queue(), await bus.queue()
    await bus.send(one, "a", "b")
    await bus.send(other, "c")
    numbers = [message.sequence_number for message in await bus.peek(one) + await bus.peek(other)]
    assert numbers == [1, 2, 1]


async def test_a_list_is_sent_whole_and_in_order(both):
    queue = await both.queue()
    messages = [ServiceBusMessage(str(number), message_id=str(number)) for number in range(50)]
    await (await both.sender(queue)).send_messages(messages)
    received = await both.receive(queue, 50)
    assert bodies(received) == [str(number) for number in range(50)]
    assert [message.message_id for message in received] == bodies(received)


async def test_a_batch_object(both):
    queue = await both.queue()
    sender = await both.sender(queue)
    batch = await sender.create_message_batch()
    assert batch.max_size_in_bytes == LIMIT
    for number in range(3):
        batch.add_message(ServiceBusMessage(f"{number}", session_id="s", application_properties={"n": number}))
    await sender.send_messages(batch)
    received = await both.receive(queue, 3)
    assert bodies(received) == ["0", "1", "2"]
    assert [message.application_properties[b"n"] for message in received] == [0, 1, 2]
    assert {message.session_id for message in received} == {"s"}


async def test_an_empty_list_and_an_empty_batch_send_nothing(bus):
    queue = await bus.queue()
    sender = await bus.sender(queue)
    await sender.send_messages([])
    await sender.send_messages(await sender.create_message_batch())
    assert await bus.peek(queue) == []


async def test_a_full_batch_is_taken(bus):
    queue = await bus.queue()
    sender = await bus.sender(queue)
    batch = await sender.create_message_batch()
    with pytest.raises(MessageSizeExceededError):
        while True:
            batch.add_message(ServiceBusMessage(b"x" * 1000))
    assert batch.size_in_bytes > LIMIT - 1100
    await sender.send_messages(batch)
    assert len(await bus.peek(queue, 300)) == len(batch) > 200


async def test_a_body_that_looks_like_a_batch_is_one_message(bus):
    looks_like_a_section = b"\x00\x53\x75\xa0\x05hello"
    received = await returned(bus, ServiceBusMessage(looks_like_a_section * 3))
    assert b"".join(received.body) == looks_like_a_section * 3


async def test_a_message_of_many_frames_goes_both_ways(both):
    text = "0123456789" * 26_000
    received = await returned(both, ServiceBusMessage(text))
    assert str(received) == text


@pytest.mark.parametrize("size", [LIMIT, 5_000_000])
async def test_a_message_that_is_too_large_is_refused_and_the_sender_goes_on(both, size):
    queue = await both.queue()
    sender = await both.sender(queue)
    with pytest.raises(MessageSizeExceededError):
        await sender.send_messages(ServiceBusMessage(b"x" * size))
    await sender.send_messages(ServiceBusMessage("small"))
    assert bodies(await both.peek(queue)) == ["small"]


async def test_a_list_that_is_too_large_is_refused_whole(bus):
    queue = await bus.queue()
    sender = await bus.sender(queue)
    with pytest.raises(MessageSizeExceededError):
        await sender.send_messages([ServiceBusMessage(b"x" * 100_000) for _ in range(3)])
    assert await bus.peek(queue) == []


async def test_a_received_message_can_be_sent_on(both):
    queue, other = await both.queue(), await both.queue()
    await both.send(queue, "on its way", subject="s", message_id=str(uuid4()), application_properties={"k": "v"})
    [received] = await both.receive(queue)
    await (await both.sender(other)).send_messages(received)
    [again] = await both.receive(other)
    assert (str(again), again.subject, again.message_id) == ("on its way", "s", received.message_id)
    assert again.application_properties == {b"k": b"v"}
    assert again.delivery_count == 0
    assert again.lock_token != received.lock_token


async def test_a_producers_delivery_count_does_not_count(bus):
    queue = await bus.queue("two-attempts")
    message = AmqpAnnotatedMessage(data_body=b"x", header=AmqpMessageHeader(delivery_count=40))
    await (await bus.sender(queue)).send_messages(message)
    [received] = await bus.receive(queue)
    assert received.delivery_count == 0


async def test_many_senders_at_once(bus):
    queue = await bus.queue()

    async def send(number: int) -> None:
        async with bus.client.get_queue_sender(queue) as sender:
            await sender.send_messages(ServiceBusMessage(str(number)))

    await asyncio.gather(*(send(number) for number in range(12)))
    assert sorted(bodies(await bus.peek(queue)), key=int) == [str(number) for number in range(12)]
