"""Batches of the Service Bus trigger (cardinality many) on the local bus, against functions-host.md §7."""

import asyncio
from typing import List  # noqa: UP035

import azure.functions as func
import pytest
from azure.servicebus import ServiceBusMessage

from tests.conformance.service_bus_host import counts, new_queue, queue_app, running, send
from tests.conformance.storage_host import until

pytestmark = pytest.mark.anyio


def batch_app(queue, work, **options):
    work.__annotations__["msg"] = List[func.ServiceBusMessage]  # noqa: UP006  the worker knows no list[...]
    return queue_app(queue, work, cardinality="many", **options)


async def test_json_bodies_arrive_together_and_are_completed_together(service_bus):
    name, seen = new_queue(service_bus), []

    def work(msg):
        seen.append([message.get_body() for message in msg])

    send(service_bus, name, '{"a":   1}', "2", '"text"')
    async with running(service_bus, batch_app(name, work)) as host:
        await host.drain()
    assert seen == [[b'{"a": 1}', b"2", b'"text"']], "each body is JSON, printed anew"
    assert counts(service_bus, name).active == 0


@pytest.mark.parametrize(
    ("data_type", "body"), [(func.DataType.STRING, "plain Zürich".encode()), (func.DataType.BINARY, b"\xff\x00")]
)
async def test_texts_and_bytes_arrive_by_data_type(service_bus, data_type, body):
    name, seen = new_queue(service_bus), []

    def work(msg):
        seen.append([message.get_body() for message in msg])

    send(service_bus, name, body, body)
    async with running(service_bus, batch_app(name, work, data_type=data_type)) as host:
        await host.drain()
    assert seen == [[body, body]]


async def test_each_message_of_a_batch_has_its_properties(service_bus):
    name, seen = new_queue(service_bus), []

    def work(msg):
        seen.extend(msg)

    made = [
        ServiceBusMessage(
            b"{}",
            message_id=f"m-{number}",
            correlation_id=f"c-{number}",
            subject=f"s-{number}",
            application_properties={"number": number},
        )
        for number in (1, 2)
    ]
    send(service_bus, name, *made)
    async with running(service_bus, batch_app(name, work)) as host:
        await host.drain()
    assert [message.message_id for message in seen] == ["m-1", "m-2"]
    assert [message.correlation_id for message in seen] == ["c-1", "c-2"]
    assert [(message.subject, message.label) for message in seen] == [("s-1", "s-1"), ("s-2", "s-2")]
    assert [message.user_properties for message in seen] == [{"number": 1}, {"number": 2}]
    assert [(message.sequence_number, message.delivery_count) for message in seen] == [(1, 1), (2, 1)]
    assert all(len(message.lock_token) == 36 and message.enqueued_time_utc for message in seen)


async def test_empty_texts_are_lost_on_the_way_so_that_arrays_misalign(service_bus):
    name, seen = new_queue(service_bus), []

    def work(msg):
        seen.extend(message.correlation_id for message in msg)

    send(service_bus, name, ServiceBusMessage(b"{}"), ServiceBusMessage(b"{}", correlation_id="second"))
    async with running(service_bus, batch_app(name, work)) as host:
        await host.drain()
    assert seen == ["second", None]


async def test_a_batch_that_fails_is_abandoned_as_a_whole(service_bus):
    name, seen = new_queue(service_bus, max_delivery_count=2), []

    def work(msg):
        seen.append(len(msg))
        raise ValueError("no")

    send(service_bus, name, "1", "2", "3")
    async with running(service_bus, batch_app(name, work)) as host:
        await host.drain()
    assert sum(seen) == 6
    assert counts(service_bus, name).dead_letter == 3


async def test_a_body_that_is_not_json_fails_the_batch_unless_it_has_a_data_type(service_bus, caplog):
    name, seen = new_queue(service_bus, max_delivery_count=1), []

    def work(msg):
        seen.append("never")

    send(service_bus, name, "1", "not json")
    async with running(service_bus, batch_app(name, work)) as host:
        await host.drain()
    assert seen == [] and counts(service_bus, name).dead_letter == 2
    assert "Declare the trigger with data_type=DataType.STRING or BINARY" in caplog.text


async def test_a_batch_has_a_largest_size_and_one_runs_at_a_time(service_bus):
    name, seen, running_now = new_queue(service_bus), [], []

    async def work(msg):
        running_now.append(1)
        assert len(running_now) == 1
        await asyncio.sleep(0.01)
        running_now.pop()
        seen.append(len(msg))

    send(service_bus, name, *["1"] * 25)
    async with running(service_bus, batch_app(name, work), maxMessageBatchSize=10) as host:
        await host.drain()
    assert seen == [10, 10, 5]


async def test_a_batch_may_wait_for_a_smallest_size_but_not_for_ever(service_bus):
    name, seen = new_queue(service_bus), []

    def work(msg):
        seen.append(len(msg))

    options = {"minMessageBatchSize": 3, "maxBatchWaitTime": "00:00:01"}
    async with running(service_bus, batch_app(name, work), **options) as host:
        for _ in range(3):
            send(service_bus, name, "1")
        await until(lambda: seen)
        send(service_bus, name, "1")
        await until(lambda: len(seen) == 2)
        await host.drain()
    assert seen == [3, 1]


async def test_a_sessions_messages_make_batches_of_their_own(service_bus):
    name, seen = new_queue(service_bus, requires_session=True), []

    def work(msg):
        seen.append([(message.session_id, message.get_body()) for message in msg])

    for session in ("a", "b"):
        send(service_bus, name, "1", "2", session_id=session)
    async with running(service_bus, batch_app(name, work, is_sessions_enabled=True)) as host:
        await host.drain()
    assert sorted(seen) == [[("a", b"1"), ("a", b"2")], [("b", b"1"), ("b", b"2")]]


async def test_stop_waits_for_a_batch_and_hands_back_the_next(service_bus):
    name, go, seen = new_queue(service_bus), asyncio.Event(), []

    async def work(msg):
        seen.append([message.delivery_count for message in msg])
        await go.wait()

    async with running(service_bus, batch_app(name, work)) as host:
        [listener] = host.listeners
        send(service_bus, name, "1")
        await until(lambda: seen)
        stopping = asyncio.create_task(listener.stop())
        send(service_bus, name, "2", "3")
        await asyncio.sleep(0)
        go.set()
        await stopping
        assert counts(service_bus, name).active == 2
        await listener.start()
        await host.drain()
    assert seen == [[1], [1, 1]]
