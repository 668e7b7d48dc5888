"""The Service Bus trigger beside a bare SDK loop on the same bus."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import azure.functions as func
from azure.servicebus import ServiceBusMessage
from azure.servicebus.aio import ServiceBusClient
from rich.console import Console

from devhost.host_json import HostJson
from devhost.indexer import index
from devhost.invoker import Invoker
from devhost.listeners import create_listener
from devhost.outages import Outages
from devhost.service_bus_connections import ServiceBusConnections
from devhost.settings import Settings

QUEUE = "bench-trigger"
CONNECTION = "AzureWebJobsServiceBus"
BODY = b'{"kind": "analytics", "input": {"event": "bench"}}'.ljust(256)
BATCH = 100
CONCURRENT_CALLS = 16
"""The real host's default for maxConcurrentCalls, and as many messages as the bare loop settles at once."""


class ListenerHost:
    """As much of a host as a Service Bus listener and its function need."""

    def __init__(self, connection_string: str) -> None:
        self.settings = Settings({CONNECTION: connection_string})
        options = {"maxConcurrentCalls": CONCURRENT_CALLS}
        self.json = HostJson({"version": "2.0", "extensions": {"serviceBus": options}})
        self.outages = Outages()
        self.service_bus = ServiceBusConnections(self.settings)
        self.invoker = Invoker(self)
        self.invoke = self.invoker.invoke

    def failed(self, error: BaseException) -> None:
        raise error


async def measure_all(
    connection_string: str, messages: int, rounds: int, console: Console
) -> dict[str, list[float]]:
    """Messages a second of each contestant, the bare loop first; they take turns."""
    host = ListenerHost(connection_string)
    contestants: dict[str, Callable[[], Awaitable[float]]] = {
        f"bare SDK: receive {CONCURRENT_CALLS}, complete at once": lambda: bare(connection_string, messages),
        "devhost, def": lambda: devhost(host, messages, is_async=False),
        "devhost, async def": lambda: devhost(host, messages, is_async=True),
    }
    rates: dict[str, list[float]] = {title: [] for title in contestants}
    for number in range(rounds):
        for title, measure in contestants.items():
            await fill(connection_string, messages)
            rates[title].append(await measure())
            console.print(f"round {number + 1}: {title:<38}{rates[title][-1]:7.0f} messages/s", highlight=False)
    await host.service_bus.close()
    host.invoker.close()
    return rates


async def bare(connection_string: str, messages: int) -> float:
    """The least a consumer can do with the library, from the first message on."""
    async with (
        ServiceBusClient.from_connection_string(connection_string) as client,
        client.get_queue_receiver(QUEUE) as receiver,
    ):
        began, done = time.perf_counter(), 0
        while done < messages:
            received = await receiver.receive_messages(min(CONCURRENT_CALLS, messages - done), max_wait_time=10)
            await asyncio.gather(*(receiver.complete_message(message) for message in received))
            done += len(received)
        return messages / (time.perf_counter() - began)


async def devhost(host: ListenerHost, messages: int, *, is_async: bool) -> float:
    """The listener with an empty function, from its first invocation until nothing is left."""
    listener = create_listener(host, empty_function(host, is_async))
    start = host.invoker.started
    await listener.start()
    while host.invoker.started == start:
        await asyncio.sleep(0.001)
    began = time.perf_counter()
    while host.invoker.started < start + messages or not await listener.is_idle():
        await asyncio.sleep(0.005)
    rate = messages / (time.perf_counter() - began)
    await listener.stop()
    return rate


def empty_function(host: ListenerHost, is_async: bool) -> Any:
    """A function that takes a message and does nothing."""
    app = func.FunctionApp()

    def work(msg: func.ServiceBusMessage):
        pass

    async def work_async(msg: func.ServiceBusMessage):
        pass

    chosen = work_async if is_async else work
    app.function_name(f"work_{is_async}")(app.service_bus_queue_trigger("msg", CONNECTION, QUEUE)(chosen))
    [function] = index(app.get_functions(), host.settings, host.json).functions.values()
    return function


async def fill(connection_string: str, messages: int) -> None:
    """Put the messages."""
    async with (
        ServiceBusClient.from_connection_string(connection_string) as client,
        client.get_queue_sender(QUEUE) as sender,
    ):
        for start in range(0, messages, BATCH):
            count = min(BATCH, messages - start)
            await sender.send_messages([ServiceBusMessage(BODY) for _ in range(count)])
