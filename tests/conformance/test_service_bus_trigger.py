"""The Service Bus trigger for single messages on the local bus, against functions-host.md §7 and §2.1."""

import asyncio
import logging
from datetime import UTC, datetime, timedelta

import azure.functions as func
import pytest
from azure.servicebus import ServiceBusMessage

from devhost.listeners.service_bus_link import ReceiveLink
from tests.conformance.service_bus_host import (
    CONNECTION,
    bodies,
    counts,
    new_queue,
    new_topic,
    queue_app,
    running,
    send,
)
from tests.conformance.storage_host import until

pytestmark = pytest.mark.anyio


async def test_the_message_object_carries_what_the_service_said(service_bus):
    name, seen = new_queue(service_bus), []

    def work(msg: func.ServiceBusMessage):
        seen.append(msg)

    sent = ServiceBusMessage(
        b"hello",
        message_id="m-1",
        correlation_id="c-1",
        content_type="text/x-greeting",
        subject="greeting",
        to="you",
        reply_to="me",
        reply_to_session_id="rs",
        session_id="p",
        partition_key="p",
        time_to_live=timedelta(minutes=5),
        application_properties={"text": "Zürich", "number": 7, "flag": True, "half": 0.5},
    )
    async with running(service_bus, queue_app(name, work)) as host:
        send(service_bus, name, sent)
        await host.drain()
    [message] = seen
    assert message.get_body() == b"hello"
    assert (message.message_id, message.correlation_id, message.content_type) == ("m-1", "c-1", "text/x-greeting")
    assert (message.subject, message.label, message.to, message.reply_to) == ("greeting", "greeting", "you", "me")
    assert (message.reply_to_session_id, message.session_id, message.partition_key) == ("rs", "p", "p")
    assert message.delivery_count == 1, ".NET counts the delivery under way"
    assert message.sequence_number == 1
    assert len(message.lock_token) == 36
    assert message.application_properties == message.user_properties
    assert message.user_properties == {"text": "Zürich", "number": 7, "flag": True, "half": 0.5}
    assert message.enqueued_time_utc.tzinfo is None
    assert timedelta() <= datetime.now(UTC).replace(tzinfo=None) - message.enqueued_time_utc < timedelta(minutes=1)
    assert message.expires_at_utc - message.enqueued_time_utc == timedelta(minutes=5)
    # What the extension never sends:
    assert message.locked_until is None and message.state is None and message.time_to_live is None
    assert message.dead_letter_reason is None and message.enqueued_sequence_number is None


async def test_what_a_message_lacks_is_none_and_it_never_expires(service_bus):
    name, seen = new_queue(service_bus), []

    def work(msg: func.ServiceBusMessage):
        seen.append(msg)

    async with running(service_bus, queue_app(name, work)) as host:
        send(service_bus, name, b"")
        await host.drain()
    [message] = seen
    assert message.get_body() == b""
    assert message.correlation_id is None and message.session_id is None and message.subject is None
    assert message.reply_to is None and message.dead_letter_source is None and message.user_properties == {}
    assert message.expires_at_utc == datetime.max


async def test_a_json_body_overrides_the_message_properties_unless_binary(service_bus):
    name, binary, seen = new_queue(service_bus), new_queue(service_bus), []
    app = func.FunctionApp()

    @app.service_bus_queue_trigger("msg", CONNECTION, name)
    def text(msg: func.ServiceBusMessage):
        seen.append(("text", msg.message_id, msg.delivery_count))

    @app.service_bus_queue_trigger("msg", CONNECTION, binary, data_type=func.DataType.BINARY)
    def raw(msg: func.ServiceBusMessage):
        seen.append(("raw", msg.message_id, msg.delivery_count))

    async with running(service_bus, app) as host:
        for queue in (name, binary):
            send(service_bus, queue, b'{"messageid": "7", "DeliveryCount": 99}', message_id="real")
        await host.drain()
    assert sorted(seen) == [("raw", "real", 1), ("text", "7", 99)]


async def test_annotations_choose_between_text_and_object(service_bus):
    name, seen = new_queue(service_bus), []

    def work(msg: str):
        seen.append(msg)

    async with running(service_bus, queue_app(name, work)) as host:
        send(service_bus, name, "Zürich")
        await host.drain()
    assert seen == ["Zürich"]


async def test_binary_triggers_take_any_bytes_and_text_triggers_only_utf8(service_bus, caplog):
    name, binary, seen = new_queue(service_bus, max_delivery_count=2), new_queue(service_bus), []
    app = func.FunctionApp()

    @app.service_bus_queue_trigger("msg", CONNECTION, name)
    def text(msg: func.ServiceBusMessage):
        seen.append("never")

    @app.service_bus_queue_trigger("msg", CONNECTION, binary, data_type="binary")
    def raw(msg: func.ServiceBusMessage):
        seen.append(msg.get_body())

    async with running(service_bus, app) as host:
        for queue in (name, binary):
            send(service_bus, queue, b"\xff\x00")
        await host.drain()
    assert seen == [b"\xff\x00"]
    assert counts(service_bus, name).dead_letter == 1
    assert "Declare the trigger with data_type=DataType.BINARY" in caplog.text


async def test_success_completes_and_says_so_with_the_real_hosts_lines(service_bus, caplog):
    caplog.set_level(logging.INFO)
    name = new_queue(service_bus)

    def work(msg: func.ServiceBusMessage): ...

    async with running(service_bus, queue_app(name, work)) as host:
        send(service_bus, name, b"x", message_id="m-1")
        await host.drain()
        [record] = host.records
    assert counts(service_bus, name).active == 0
    assert f"Executing 'Functions.work' (Reason='(null)', Id={record.id})" in caplog.text
    assert "Trigger Details: MessageId: m-1, SequenceNumber: 1, DeliveryCount: 1, EnqueuedTimeUtc: 20" in caplog.text
    assert f"Executed 'Functions.work' (Succeeded, Id={record.id}, Duration=" in caplog.text


async def test_a_failure_abandons_at_once_and_the_broker_dead_letters(service_bus):
    name, seen = new_queue(service_bus, max_delivery_count=3), []

    def work(msg: func.ServiceBusMessage):
        seen.append(msg.delivery_count)
        raise ValueError("no")

    async with running(service_bus, queue_app(name, work)) as host:
        send(service_bus, name, b"bad")
        await host.drain()
    assert seen == [1, 2, 3]
    held = counts(service_bus, name)
    assert (held.active, held.dead_letter) == (0, 1)


async def test_a_dead_letter_queue_can_be_listened_to(service_bus):
    name, seen = new_queue(service_bus, max_delivery_count=1), []
    app = func.FunctionApp()

    @app.service_bus_queue_trigger("msg", CONNECTION, name)
    def fail(msg: func.ServiceBusMessage):
        raise ValueError("no")

    @app.service_bus_queue_trigger("msg", CONNECTION, f"{name}/$DeadLetterQueue")
    def bury(msg: func.ServiceBusMessage):
        seen.append((msg.get_body(), msg.user_properties["DeadLetterReason"]))

    async with running(service_bus, app) as host:
        send(service_bus, name, b"bad")
        await until(lambda: seen)
        await host.drain()
    assert seen == [(b"bad", "MaxDeliveryCountExceeded")]
    assert counts(service_bus, name).dead_letter == 0


async def test_subscriptions_are_listened_to_each_with_its_own_copy(service_bus):
    topic, seen = new_topic(service_bus, "one", "two"), []
    app = func.FunctionApp()

    for subscription in ("one", "two"):
        work = _named(subscription, seen)
        app.function_name(subscription)(app.service_bus_topic_trigger("msg", CONNECTION, topic, subscription)(work))

    async with running(service_bus, app) as host:
        send(service_bus, topic, b"x")
        await host.drain()
    assert sorted(seen) == ["one", "two"]


def _named(name, seen):
    def work(msg: func.ServiceBusMessage):
        seen.append(name)

    return work


async def test_a_retry_policy_runs_within_one_delivery(service_bus):
    name, seen = new_queue(service_bus, max_delivery_count=2), []
    app = func.FunctionApp()

    @app.retry(strategy="fixed_delay", max_retry_count="2", delay_interval="00:00:00.01")
    @app.service_bus_queue_trigger("msg", CONNECTION, name)
    def work(msg: func.ServiceBusMessage):
        seen.append(msg.delivery_count)
        raise ValueError("no")

    async with running(service_bus, app) as host:
        send(service_bus, name, b"x")
        await host.drain()
    assert seen == [1, 1, 1, 2, 2, 2]


async def test_at_most_max_concurrent_calls_run_at_once_and_a_slow_one_holds_nobody_up(service_bus):
    name, now, most, done = new_queue(service_bus), set(), [], []
    slow = asyncio.Event()

    async def work(msg: func.ServiceBusMessage):
        now.add(msg.sequence_number)
        most.append(len(now))
        await (slow.wait() if msg.sequence_number == 1 else asyncio.sleep(0.001))
        now.discard(msg.sequence_number)
        done.append(msg.sequence_number)
        if len(done) == 39:
            slow.set()

    async with running(service_bus, queue_app(name, work), maxConcurrentCalls=4) as host:
        send(service_bus, name, *[b"x"] * 40)
        await host.drain()
    assert max(most) == 4
    assert sorted(done) == list(range(1, 41)) and done[-1] == 1


async def test_no_more_messages_are_locked_than_run_and_are_prefetched(service_bus):
    name, go, seen = new_queue(service_bus), asyncio.Event(), []

    async def work(msg: func.ServiceBusMessage):
        seen.append(msg.sequence_number)
        await go.wait()

    async with running(service_bus, queue_app(name, work), maxConcurrentCalls=2, prefetchCount=3) as host:
        send(service_bus, name, *[b"x"] * 10)
        await until(lambda: len(seen) == 2)
        got = []
        another = ReceiveLink(host.service_bus.namespace(None).receiver(queue_name=name), got.append, print)
        await another.open()
        await another.grant(100)
        await another.settled_down()
        assert len(got) == 5
        for message in got:
            await another.release(message)
        await another.close()
        go.set()


async def test_two_functions_may_share_a_queue_and_no_message_runs_twice(service_bus):
    name, seen = new_queue(service_bus), []
    app = func.FunctionApp()
    for function in ("one", "two"):

        def work(msg: func.ServiceBusMessage):
            seen.append(msg.sequence_number)

        app.function_name(function)(app.service_bus_queue_trigger("msg", CONNECTION, name)(work))

    async with running(service_bus, app) as host:
        send(service_bus, name, *[b"x"] * 100)
        await host.drain()
    assert sorted(seen) == list(range(1, 101))


HOST_APP = """
import azure.functions as func

app = func.FunctionApp()

@app.service_bus_queue_trigger("msg", "AzureWebJobsServiceBus", "%QUEUE%")
@app.service_bus_queue_output("out", "AzureWebJobsServiceBus", "%DONE%")
def relay(msg: func.ServiceBusMessage, out: func.Out[str]):
    out.set(msg.get_body().decode().upper())
"""


async def test_the_whole_host_listens_to_the_bus_and_drains(tmp_path, service_bus, devhost_host):
    (tmp_path / "host.json").write_text('{"version": "2.0"}')
    (tmp_path / "function_app.py").write_text(HOST_APP)
    name, done = new_queue(service_bus), new_queue(service_bus)
    settings = {CONNECTION: service_bus.connection_string, "QUEUE": name, "DONE": done}
    host = await asyncio.to_thread(devhost_host, tmp_path, settings=settings)
    send(service_bus, name, b"hello")
    await asyncio.to_thread(host.drain)
    assert counts(service_bus, name).active == 0
    assert bodies(service_bus, done) == [b"HELLO"]
