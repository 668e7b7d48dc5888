"""Sessions of the Service Bus trigger on the local bus, against functions-host.md §7."""

import asyncio
from collections import defaultdict

import azure.functions as func
import pytest

from tests.conformance.service_bus_host import CONNECTION, counts, new_queue, new_topic, queue_app, running, send
from tests.conformance.storage_host import until

pytestmark = pytest.mark.anyio


def sessions_app(queue, work, **options):
    return queue_app(queue, work, is_sessions_enabled=True, **options)


async def test_each_session_is_in_order_and_sessions_run_at_once(service_bus):
    name, now, together, order = new_queue(service_bus, requires_session=True), set(), [], defaultdict(list)

    async def work(msg: func.ServiceBusMessage):
        assert msg.session_id not in now, "one call a session"
        now.add(msg.session_id)
        together.append(len(now))
        await asyncio.sleep(0.002)
        now.discard(msg.session_id)
        order[msg.session_id].append(msg.get_body())

    for number in range(5):
        for session in "abcd":
            send(service_bus, name, str(number), session_id=session)
    async with running(service_bus, sessions_app(name, work), maxConcurrentSessions=3) as host:
        await host.drain()
    assert order == {session: [b"0", b"1", b"2", b"3", b"4"] for session in "abcd"}
    assert max(together) in (2, 3)
    assert counts(service_bus, name).active == 0


async def test_several_calls_a_session_on_request(service_bus):
    name, now, together = new_queue(service_bus, requires_session=True), set(), []

    async def work(msg: func.ServiceBusMessage):
        now.add(msg.sequence_number)
        together.append(len(now))
        await asyncio.sleep(0.01)
        now.discard(msg.sequence_number)

    send(service_bus, name, *[b"x"] * 6, session_id="a")
    async with running(service_bus, sessions_app(name, work), maxConcurrentCallsPerSession=3) as host:
        await host.drain()
    assert max(together) == 3


async def test_an_idle_session_makes_room_for_the_next(service_bus):
    name, seen = new_queue(service_bus, requires_session=True), []

    def work(msg: func.ServiceBusMessage):
        seen.append(msg.session_id)

    async with running(service_bus, sessions_app(name, work), maxConcurrentSessions=1) as host:
        for session in ("a", "b", ""):
            send(service_bus, name, b"x", session_id=session)
        await host.drain()
    assert sorted(seen) == ["", "a", "b"]


async def test_a_failed_message_of_a_session_comes_again_before_the_next(service_bus):
    name, seen = new_queue(service_bus, requires_session=True, max_delivery_count=2), []

    def work(msg: func.ServiceBusMessage):
        seen.append((msg.get_body(), msg.delivery_count))
        if msg.get_body() == b"bad":
            raise ValueError("no")

    async with running(service_bus, sessions_app(name, work)) as host:
        send(service_bus, name, b"bad", b"good", session_id="a")
        await host.drain()
    assert seen == [(b"bad", 1), (b"bad", 2), (b"good", 1)]
    assert counts(service_bus, name).dead_letter == 1


async def test_a_sessions_lock_is_renewed_while_a_function_runs(service_bus):
    name, seen = new_queue(service_bus, requires_session=True, lock_duration=1000), []

    async def work(msg: func.ServiceBusMessage):
        seen.append(msg.delivery_count)
        await asyncio.sleep(2.2)

    async with running(service_bus, sessions_app(name, work)) as host:
        send(service_bus, name, b"x", session_id="a")
        await until(lambda: host.records)
        await host.drain()
        assert counts(service_bus, name).active == 0
    assert seen == [1]


async def test_a_session_lock_that_is_lost_is_logged_and_the_message_comes_again(service_bus, caplog):
    name, seen = new_queue(service_bus, requires_session=True, lock_duration=1000), []

    async def work(msg: func.ServiceBusMessage):
        seen.append(msg.get_body())
        if len(seen) == 1:
            await until(lambda: len(seen) == 2)

    options = {"maxAutoLockRenewalDuration": "00:00:00", "maxConcurrentSessions": 2}
    async with running(service_bus, sessions_app(name, work), **options) as host:
        send(service_bus, name, b"x", session_id="a", message_id="m-1")
        await until(lambda: len(host.records) == 2)
        await host.drain()
    assert seen == [b"x", b"x"]
    assert "Message m-1" in caplog.text and "its lock is lost" in caplog.text


async def test_stop_gives_sessions_back_at_once(service_bus):
    name, go, seen = new_queue(service_bus, requires_session=True), asyncio.Event(), []

    async def work(msg: func.ServiceBusMessage):
        seen.append((msg.get_body(), msg.delivery_count))
        await go.wait()

    app = sessions_app(name, work)
    async with running(service_bus, app, sessionIdleTimeout="00:01:00") as host:
        [listener] = host.listeners
        send(service_bus, name, b"1", b"2", session_id="a")
        await until(lambda: seen)
        stopping = asyncio.create_task(listener.stop())
        await asyncio.sleep(0)
        go.set()
        await stopping
        assert counts(service_bus, name).active == 1
        await listener.start()
        await until(lambda: len(seen) == 2)
    assert seen == [(b"1", 1), (b"2", 1)], "the session was free again, and what nobody had seen was not counted"


async def test_sessions_of_a_subscription(service_bus):
    topic, seen = new_topic(service_bus, "one", requires_session=True), []
    app = func.FunctionApp()

    @app.service_bus_topic_trigger("msg", CONNECTION, topic, "one", is_sessions_enabled=True)
    def work(msg: func.ServiceBusMessage):
        seen.append(msg.session_id)

    async with running(service_bus, app) as host:
        send(service_bus, topic, b"x", session_id="s")
        await host.drain()
    assert seen == ["s"]
