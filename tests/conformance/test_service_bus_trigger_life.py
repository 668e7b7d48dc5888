"""Locks, outages and the end of the Service Bus trigger, against functions-host.md §7 and §8."""

import asyncio
import logging
import time

import azure.functions as func
import pytest

from devhost.servicebus.bus import ServiceBus
from devhost.servicebus.config import Config
from devhost.servicebus.descriptions import QueueDescription
from devhost.servicebus.in_process import InProcessServiceBus
from tests.conformance.apps import serve, write_app
from tests.conformance.service_bus_host import CONNECTION, counts, new_queue, queue_app, running, send
from tests.conformance.storage_host import new_name, until

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("impatience")]


async def test_a_run_longer_than_its_lock_keeps_its_message(service_bus):
    name, seen = new_queue(service_bus, lock_duration=1000), []

    async def work(msg: func.ServiceBusMessage):
        seen.append(msg.delivery_count)
        await asyncio.sleep(2.2)

    async with running(service_bus, queue_app(name, work)) as host:
        send(service_bus, name, b"x")
        await until(lambda: host.records)
        await host.drain()
        assert counts(service_bus, name).active == 0
    assert seen == [1]


async def test_without_renewal_the_lock_ends_which_is_logged_and_the_message_comes_again(service_bus, caplog):
    name, seen = new_queue(service_bus, lock_duration=1000), []

    async def work(msg: func.ServiceBusMessage):
        seen.append(msg.delivery_count)
        if len(seen) == 1:
            await until(lambda: len(seen) == 2)

    async with running(service_bus, queue_app(name, work), maxAutoLockRenewalDuration="00:00:00") as host:
        send(service_bus, name, b"x", message_id="m-1")
        await until(lambda: len(host.records) == 2)
        await host.drain()
        assert counts(service_bus, name).active == 0
    assert seen == [1, 2]
    assert f"Message m-1 of '{name}' could not be completed, because its lock is lost" in caplog.text


async def test_without_auto_complete_a_message_comes_again_when_its_lock_ends(service_bus):
    name, other, seen = new_queue(service_bus, lock_duration=1000), new_queue(service_bus), []
    app = func.FunctionApp()

    @app.service_bus_queue_trigger("msg", CONNECTION, name, auto_complete_messages=False)
    def leave(msg: func.ServiceBusMessage):
        seen.append(msg.delivery_count)

    @app.service_bus_queue_trigger("msg", CONNECTION, other, auto_complete_messages=True)
    def take(msg: func.ServiceBusMessage): ...

    async with running(service_bus, app, autoCompleteMessages=False) as host:
        send(service_bus, name, b"x")
        send(service_bus, other, b"x")
        await until(lambda: len(seen) == 2)
        await host.drain()
    assert seen == [1, 2]
    assert counts(service_bus, other).active == 0, "the binding's word counts over host.json's"


async def test_a_queue_that_does_not_exist_yet_is_waited_for_and_said_once(service_bus, caplog):
    name, seen = new_name(), []

    def work(msg: func.ServiceBusMessage):
        seen.append(msg.get_body())

    async with running(service_bus, queue_app(name, work)) as host:
        await until(lambda: "cannot listen" in caplog.text)
        await host.drain()
        service_bus.call(lambda broker: broker.create_queue(QueueDescription(name)))
        send(service_bus, name, b"x")
        await until(lambda: seen)
    [line] = [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]
    assert line.startswith(f"Function 'work' cannot listen to '{name}' of sb://127.0.0.1:")
    assert "Declare it in servicebus.json" in line


async def test_sessions_of_a_trigger_that_the_queue_does_not_have_are_said(service_bus, caplog):
    name = new_queue(service_bus)

    def work(msg: func.ServiceBusMessage): ...

    async with running(service_bus, queue_app(name, work, is_sessions_enabled=True)):
        await until(lambda: "cannot listen" in caplog.text)
    assert "is_sessions_enabled of the trigger must be what RequiresSession of the entity is" in caplog.text


async def test_stop_waits_for_what_runs_and_settles_it(service_bus):
    name, go, seen = new_queue(service_bus), asyncio.Event(), []

    async def work(msg: func.ServiceBusMessage):
        seen.append("begun")
        await go.wait()
        seen.append("ended")

    async with running(service_bus, queue_app(name, work)) as host:
        send(service_bus, name, b"x")
        await until(lambda: seen)
        stopping = asyncio.create_task(host.listeners[0].stop())
        send(service_bus, name, b"later")
        await asyncio.sleep(0.05)
        assert not stopping.done()
        go.set()
        await stopping
        assert seen == ["begun", "ended"]
        assert counts(service_bus, name).active == 1, "the later one is not taken"

        await host.listeners[0].start()
        await until(lambda: len(seen) == 4)


async def test_stop_hands_back_what_no_function_has_seen_without_a_count(service_bus):
    name, go, seen = new_queue(service_bus), asyncio.Event(), []

    async def work(msg: func.ServiceBusMessage):
        seen.append((msg.sequence_number, msg.delivery_count))
        await go.wait()

    app = queue_app(name, work)
    async with running(service_bus, app, maxConcurrentCalls=1, prefetchCount=5) as host:
        send(service_bus, name, b"1", b"2", b"3")
        await until(lambda: seen)
        stopping = asyncio.create_task(host.listeners[0].stop())
        await asyncio.sleep(0)
        go.set()
        await stopping
        assert counts(service_bus, name).active == 2
        await host.listeners[0].start()
        await host.drain()
    assert seen == [(1, 1), (2, 1), (3, 1)]


async def test_a_stop_that_finds_nothing_to_do_is_prompt(service_bus):
    name, sessions = new_queue(service_bus), new_queue(service_bus, requires_session=True)
    app = func.FunctionApp()
    for queue, has_sessions in ((name, False), (sessions, True)):

        def work(msg: func.ServiceBusMessage): ...

        decorate = app.service_bus_queue_trigger("msg", CONNECTION, queue, is_sessions_enabled=has_sessions)
        app.function_name(f"work{has_sessions}")(decorate(work))
    async with running(service_bus, app) as host:
        await host.drain()
        began = time.monotonic()
        await asyncio.gather(*(listener.stop() for listener in host.listeners))
        assert time.monotonic() - began < 30, "it does not sit a blocked receive out, which takes a minute"


async def test_the_bus_may_go_away_and_come_back(tmp_path, caplog):
    caplog.set_level(logging.WARNING)
    seen, gone, back = [], asyncio.Event(), asyncio.Event()

    async def work(msg: func.ServiceBusMessage):
        if msg.get_body() == b"long":
            gone.set()
            await back.wait()
        seen.append(msg.get_body())

    config = Config(queues=[QueueDescription("q")])
    bus = ServiceBus(config, database=tmp_path / "bus.sqlite3", port=0, admin_port=0)
    await bus.start()
    port = bus.port
    try:
        async with running(bus.connection_string, queue_app("q", work)) as host:
            await host.send("q", b"long")
            await gone.wait()
            await bus.stop()
            away = host.service_bus.namespace(None).name
            await until(lambda: host.outages.is_away(away))
            back.set()
            await until(lambda: host.records)
            bus = ServiceBus(config, database=tmp_path / "bus.sqlite3", port=port, admin_port=0)
            await bus.start()
            await until(lambda: not host.outages.is_away(away))
            await host.send("q", b"next")
            await until(lambda: len(seen) == 3)
            await host.drain()
            assert bus.broker.counts("q").active == 0
    finally:
        await bus.stop()
    assert sorted(seen) == [b"long", b"long", b"next"], "a restarted bus knows no locks: at least once, not exactly"
    assert len([record for record in caplog.records if record.name == "devhost.outages"]) == 2


def test_a_bus_that_does_not_answer_at_the_start_is_said_with_its_remedy(tmp_path, devhost_host):
    with InProcessServiceBus() as bus:
        connection_string = bus.connection_string
    app = write_app(
        tmp_path,
        """
        @app.service_bus_queue_trigger("msg", "AzureWebJobsServiceBus", "q")
        def work(msg): ...
        """,
    )
    with pytest.raises(Exception, match="does not answer. Start it: `python -m devhost.servicebus --config"):
        devhost_host(app, settings={CONNECTION: connection_string})


def test_settlement_from_python_is_refused_with_the_page_that_says_what_is_covered(tmp_path, devhost_host, service_bus):
    source = """
    class ServiceBusReceivedMessage: ...
    class ServiceBusMessageActions: ...
    for made in (ServiceBusReceivedMessage, ServiceBusMessageActions):
        made.__module__ = "azurefunctions.extensions.bindings.servicebus"

    @app.service_bus_queue_trigger("msg", "AzureWebJobsServiceBus", "q", auto_complete_messages=False)
    def work(msg: ServiceBusReceivedMessage, actions: ServiceBusMessageActions): ...
    """
    with pytest.raises(Exception, match="azurefunctions-extensions-bindings-servicebus.*COVERAGE.md"):
        serve(devhost_host, tmp_path, source, settings={CONNECTION: service_bus.connection_string})
