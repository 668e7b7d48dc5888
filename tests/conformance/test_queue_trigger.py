"""The storage queue trigger on Azurite, against functions-host.md §4 and §2.1."""

import asyncio
import base64
import json
import logging
from datetime import UTC, datetime, timedelta

import azure.functions as func
import pytest
from azure.storage.queue import QueueClient

from devhost.azurite import Azurite
from tests.conformance.storage_host import new_name, running, until

pytestmark = pytest.mark.anyio


def queue_app(name, work, **options):
    """An app with one queue function, `work(msg)`."""
    app = func.FunctionApp()
    app.function_name("work")(app.queue_trigger("msg", name, "AzureWebJobsStorage", **options)(work))
    return app


async def test_the_message_object_carries_what_the_service_said(azurite):
    name, seen = new_name(), []

    def work(msg: func.QueueMessage):
        seen.append(msg)

    async with running(azurite.connection_string, queue_app(name, work)) as host:
        await host.put(name, b'{"kind": "order"}')
        await host.drain()
    [message] = seen
    assert message.get_body() == b'{"kind": "order"}'
    assert message.get_json() == {"kind": "order"}
    assert message.dequeue_count == 1
    assert message.id and message.pop_receipt
    now = datetime.now(UTC)
    assert timedelta() <= now - message.insertion_time < timedelta(minutes=1)
    assert message.expiration_time - message.insertion_time == timedelta(days=7)
    assert timedelta(minutes=9) < message.time_next_visible - now <= timedelta(minutes=10)


async def test_annotations_choose_between_text_and_object(azurite):
    name, seen = new_name(), []

    def work(msg: str):
        seen.append(msg)

    async with running(azurite.connection_string, queue_app(name, work)) as host:
        await host.put(name, "Zürich".encode())
        await host.drain()
    assert seen == ["Zürich"]


async def test_binary_triggers_take_any_bytes(azurite):
    name, seen = new_name(), []

    def work(msg: func.QueueMessage):
        seen.append(msg.get_body())

    async with running(azurite.connection_string, queue_app(name, work, data_type=func.DataType.BINARY)) as host:
        await host.put(name, b"\xff\x00")
        await host.drain()
    assert seen == [b"\xff\x00"]


async def test_a_json_body_overrides_the_message_properties(azurite):
    name, seen = new_name(), []

    def work(msg: func.QueueMessage):
        seen.append((msg.id, msg.dequeue_count))

    async with running(azurite.connection_string, queue_app(name, work)) as host:
        await host.put(name, b'{"id": "7", "DequeueCount": 99}')
        await host.drain()
    assert seen == [("7", 99)]


async def test_success_deletes_and_says_so_with_the_real_hosts_lines(azurite, caplog):
    caplog.set_level(logging.INFO)
    name, seen = new_name(), []

    def work(msg: func.QueueMessage):
        seen.append(msg)

    async with running(azurite.connection_string, queue_app(name, work)) as host:
        await host.put(name, b"x")
        await host.drain()
        assert await host.queue(name).approximate_count() == 0
    [record] = host.records
    inserted = seen[0].insertion_time.isoformat(timespec="milliseconds")
    reason = f"New queue message detected on '{name}'."
    assert f"Executing 'Functions.work' (Reason='{reason}', Id={record.id})" in caplog.text
    assert f"Trigger Details: MessageId: {seen[0].id}, DequeueCount: 1, InsertedOn: {inserted}" in caplog.text
    assert f"Executed 'Functions.work' (Succeeded, Id={record.id}, Duration=" in caplog.text


async def test_five_failures_then_poison_with_the_body_only(azurite, caplog):
    name, counts = new_name(), []

    def work(msg: func.QueueMessage):
        counts.append(msg.dequeue_count)
        raise ValueError("no")

    async with running(azurite.connection_string, queue_app(name, work)) as host:
        await host.put(name, b"bad")
        await until(lambda: len(counts) == 5)
        await host.drain()
        assert await host.queue(name).approximate_count() == 0
        [poison] = await host.queue(f"{name}-poison").receive(32, 30)
    assert counts == [1, 2, 3, 4, 5]
    assert (base64.b64decode(poison.text), poison.dequeue_count) == (b"bad", 1)
    assert f"Message has reached MaxDequeueCount of 5. Moving message to queue '{name}-poison'." in caplog.text


async def test_undecodable_text_goes_to_poison_raw_without_a_run(azurite, caplog):
    name, seen = new_name(), []

    def work(msg: func.QueueMessage):
        seen.append(msg.get_body())

    async with running(azurite.connection_string, queue_app(name, work)) as host:
        await host.put(name, '{"not": "base64"}')
        await host.put(name, b"good")
        await host.drain()
        assert await host.queue(f"{name}-poison").peek() == ['{"not": "base64"}']
    assert seen == [b"good"]
    assert "Message decoding has failed! Check MessageEncoding settings. MessageId=" in caplog.text


async def test_a_text_function_never_sees_bytes_that_are_not_utf8(azurite):
    name, seen = new_name(), []

    def work(msg: func.QueueMessage):
        seen.append(msg.get_body())

    async with running(azurite.connection_string, queue_app(name, work), {"maxDequeueCount": 2}) as host:
        await host.put(name, b"\xff")
        await host.put(name, b"good")
        await host.drain()
        assert await host.bodies(f"{name}-poison") == [b"\xff"]
    assert seen == [b"good"]


async def test_encoding_none_takes_the_text_as_it_is(azurite):
    name, seen = new_name(), []

    def work(msg: func.QueueMessage):
        seen.append(msg.get_body())

    async with running(azurite.connection_string, queue_app(name, work), {"messageEncoding": "none"}) as host:
        await host.put(name, "plain <text> & Ü")
        await host.drain()
    assert seen == ["plain <text> & Ü".encode()]


async def test_a_poison_queue_has_no_poison_queue(azurite):
    name, seen = f"{new_name()}-poison", []

    def work(msg: func.QueueMessage):
        seen.append(msg.dequeue_count)
        raise ValueError("no")

    async with running(azurite.connection_string, queue_app(name, work), {"maxDequeueCount": 1}) as host:
        await host.put(name, b"x")
        await until(lambda: seen)
        await host.drain()
        assert not await host.queue(f"{name}-poison").exists()
        assert await host.queue(name).approximate_count() == 1
        assert await host.queue(name).peek() == [], "hidden until its lease ends"
    assert seen == [1]


async def test_a_failed_message_waits_for_the_visibility_timeout(azurite):
    name, moments = new_name(), []

    def work(msg: func.QueueMessage):
        moments.append(datetime.now(UTC))
        if len(moments) == 1:
            raise ValueError("not yet")

    async with running(azurite.connection_string, queue_app(name, work), {"visibilityTimeout": "00:00:02"}) as host:
        await host.put(name, b"x")
        await until(lambda: len(moments) == 2)
        await host.drain()
        assert await host.queue(name).approximate_count() == 0
    assert moments[1] - moments[0] >= timedelta(seconds=1), "Azurite keeps seconds only"


async def test_a_queue_that_does_not_exist_yet_is_waited_for(azurite):
    name, seen = new_name(), []

    def work(msg: func.QueueMessage):
        seen.append(msg.get_body())

    async with running(azurite.connection_string, queue_app(name, work)) as host:
        await host.drain()
        assert not await host.queue(name).exists()
        await host.put(name, b"x")
        await until(lambda: seen)


async def test_a_run_longer_than_its_lease_keeps_its_message(azurite):
    name, receipts = new_name(), []

    async def work(msg: func.QueueMessage):
        receipts.append(msg.pop_receipt)
        await asyncio.sleep(3)

    async with running(azurite.connection_string, queue_app(name, work), DEVHOST_QUEUE_LEASE="1") as host:
        await host.put(name, b"x")
        await until(lambda: host.records)
        await host.drain()
        assert await host.queue(name).approximate_count() == 0
    assert len(receipts) == 1


async def test_a_retry_policy_runs_within_one_dequeue(azurite):
    name, seen = new_name(), []
    app = func.FunctionApp()

    @app.retry(strategy="fixed_delay", max_retry_count="2", delay_interval="00:00:00.01")
    @app.queue_trigger("msg", name, "AzureWebJobsStorage")
    def work(msg: func.QueueMessage):
        seen.append(msg.dequeue_count)
        raise ValueError("no")

    async with running(azurite.connection_string, app, {"maxDequeueCount": 2}) as host:
        await host.put(name, b"x")
        await until(lambda: len(seen) == 6)
        await host.drain()
        assert await host.bodies(f"{name}-poison") == [b"x"]
    assert seen == [1, 1, 1, 2, 2, 2]


async def test_two_functions_may_share_a_backlog_and_no_message_runs_twice(azurite):
    name, seen = new_name(), []
    app = func.FunctionApp()

    for function_name in ("one", "two"):

        def work(msg: func.QueueMessage):
            seen.append(msg.get_json())

        app.function_name(function_name)(app.queue_trigger("msg", name, "AzureWebJobsStorage")(work))

    async with running(azurite.connection_string, app) as host:
        for number in range(100):
            await host.put(name, json.dumps(number).encode())
        await host.drain()
        assert await host.queue(name).approximate_count() == 0
    assert sorted(seen) == list(range(100))


async def test_azurite_may_go_away_and_come_back(tmp_path, request, caplog):
    caplog.set_level(logging.WARNING)
    name, seen = new_name(), []
    gone, back = asyncio.Event(), asyncio.Event()

    async def work(msg: func.QueueMessage):
        if msg.get_body() == b"long":
            gone.set()
            await back.wait()
        seen.append(msg.get_body())

    azurite = Azurite(location=tmp_path, search_from=request.config.rootpath)
    await asyncio.to_thread(azurite.start)
    ports = azurite.ports
    try:
        async with running(azurite.connection_string, queue_app(name, work)) as host:
            await host.put(name, b"long")
            await gone.wait()
            await asyncio.to_thread(azurite.stop)
            service = host.storage.queues().name
            await until(lambda: host.outages.is_away(service))
            back.set()
            await until(lambda: host.records)
            azurite = Azurite(location=tmp_path, ports=ports, search_from=request.config.rootpath)
            await asyncio.to_thread(azurite.start)
            await host.put(name, b"next")
            await until(lambda: len(seen) == 2)
            await host.drain()
            assert await host.queue(name).approximate_count() == 0, "what ended during the outage is deleted after it"
    finally:
        await asyncio.to_thread(azurite.stop)
    assert seen == [b"long", b"next"]
    assert len([record for record in caplog.records if record.name == "devhost.outages"]) == 2


HOST_APP = """
import azure.functions as func

app = func.FunctionApp()

@app.queue_trigger("msg", "%QUEUE%", "AzureWebJobsStorage")
@app.queue_output("out", "{queuename}-done", "AzureWebJobsStorage")
def relay(msg: func.QueueMessage, out: func.Out[str]):
    out.set(msg.get_json()["text"])
"""


async def test_the_whole_host_listens_and_drains(tmp_path, azurite, devhost_host):
    (tmp_path / "host.json").write_text('{"version": "2.0"}')
    (tmp_path / "function_app.py").write_text(HOST_APP)
    name = new_name()
    settings = {"AzureWebJobsStorage": azurite.connection_string, "QUEUE": name}
    host = await asyncio.to_thread(devhost_host, tmp_path, settings=settings)
    with QueueClient.from_connection_string(azurite.connection_string, name) as queue:
        queue.create_queue()
        queue.send_message(base64.b64encode(json.dumps({"queuename": name, "text": "hello"}).encode()).decode())
    await asyncio.to_thread(host.drain)
    with QueueClient.from_connection_string(azurite.connection_string, f"{name}-done") as queue:
        [message] = queue.receive_messages()
        assert base64.b64decode(message.content) == b"hello"
