"""The storage queue trigger beside a bare SDK loop on the same Azurite: `python -m bench.queue_trigger`."""

from __future__ import annotations

import argparse
import asyncio
import base64
import logging
import os
import statistics
import sys
import time
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import azure.functions as func
from azure.storage.queue import QueueClient
from rich.console import Console
from rich.table import Table

from devhost.host_json import HostJson
from devhost.indexer import index
from devhost.invoker import Invoker
from devhost.listeners import create_listener
from devhost.outages import Outages
from devhost.settings import Settings
from devhost.storage import StorageAccounts
from devhost.storage.queue import Queue

AIM = 0.8
"""devhost's messages a second over the bare loop's."""
CONNECTION = "AzureWebJobsStorage"
MESSAGE = base64.b64encode(b'{"kind": "analytics", "input": {"event": "bench"}}').decode()


@dataclass(frozen=True, slots=True)
class Run:
    """One measurement: messages a second, and CPU milliseconds of this process per message."""

    rate: float
    cpu: float


class ListenerHost:
    """As much of a host as a queue listener and its function need."""

    def __init__(self, connection_string: str) -> None:
        self.settings = Settings({CONNECTION: connection_string})
        self.json = HostJson({"version": "2.0"})
        self.outages = Outages()
        self.storage = StorageAccounts(self.settings)
        self.invoker = Invoker(self)
        self.invoke = self.invoker.invoke

    def failed(self, error: BaseException) -> None:
        raise error


async def measure_all(connection_string: str, messages: int, rounds: int, console: Console) -> None:
    """Fill, measure and clear, contestants taking turns, then print the report."""
    host = ListenerHost(connection_string)
    names = {kind: f"bench-{kind}-{uuid.uuid4().hex[:8]}" for kind in ("bare", "sync", "async")}
    queues = {kind: host.storage.queues().queue(name) for kind, name in names.items()}
    for queue in queues.values():
        await queue.create()
    contestants: dict[str, Callable[[], Awaitable[Run]]] = {
        "bare SDK: get 32, delete each": lambda: asyncio.to_thread(bare, connection_string, names["bare"], messages),
        "devhost, def": lambda: devhost(host, names["sync"], messages, is_async=False),
        "devhost, async def": lambda: devhost(host, names["async"], messages, is_async=True),
    }
    runs: dict[str, list[Run]] = {title: [] for title in contestants}
    for number in range(rounds):
        for kind, (title, measure) in zip(names, contestants.items(), strict=True):
            await fill(queues[kind], messages)
            runs[title].append(await measure())
            console.print(f"round {number + 1}: {title:<30}{runs[title][-1].rate:7.0f} messages/s", highlight=False)
    costs = await operation_costs(queues["bare"])
    delay = await pickup(host, queues["async"], names["async"])
    for queue in queues.values():
        await host.storage.queues().request("DELETE", queue.name)
    await host.storage.close()
    host.invoker.close()
    report(runs, costs, delay, console)


def bare(connection_string: str, name: str, messages: int) -> Run:
    """The least a consumer can do with the library: receive, delete, nothing else."""
    with QueueClient.from_connection_string(connection_string, name) as client:
        began, cpu, done = time.perf_counter(), time.process_time(), 0
        while done < messages:
            for message in client.receive_messages(messages_per_page=32, max_messages=32, visibility_timeout=600):
                client.delete_message(message)
                done += 1
        return Run(messages / (time.perf_counter() - began), (time.process_time() - cpu) * 1000 / messages)


async def devhost(host: ListenerHost, name: str, messages: int, *, is_async: bool) -> Run:
    """The listener with an empty function, from its start until the last message is deleted."""
    listener = create_listener(host, empty_function(host, name, is_async))
    began, cpu = time.perf_counter(), time.process_time()
    await listener.start()
    queue = host.storage.queues().queue(name)
    goal = host.invoker.started + messages
    while host.invoker.started < goal or await queue.approximate_count():
        await asyncio.sleep(0.005)
    run = Run(messages / (time.perf_counter() - began), (time.process_time() - cpu) * 1000 / messages)
    await listener.stop()
    return run


def empty_function(host: ListenerHost, name: str, is_async: bool):
    """A function that takes a queue message and does nothing."""
    app = func.FunctionApp()

    def work(msg: func.QueueMessage):
        pass

    async def work_async(msg: func.QueueMessage):
        pass

    app.function_name(f"work_{is_async}")(app.queue_trigger("msg", name, CONNECTION)(work_async if is_async else work))
    [function] = index(app.get_functions(), host.settings, host.json).functions.values()
    return function


async def fill(queue: Queue, messages: int) -> None:
    """Put the messages, eight at a time."""
    numbers = iter(range(messages))

    async def put_some() -> None:
        for _ in numbers:
            await queue.put(MESSAGE)

    await asyncio.gather(*(put_some() for _ in range(8)))


async def operation_costs(queue: Queue, times: int = 96) -> dict[str, tuple[float, float]]:
    """Milliseconds and CPU milliseconds of each operation of the lean client, one after the other."""
    costs: dict[str, tuple[float, float]] = {}

    async def measure(title: str, count: int, operation: Callable[[int], Awaitable[object]]) -> None:
        began, cpu = time.perf_counter(), time.process_time()
        for number in range(count):
            await operation(number)
        costs[title] = ((time.perf_counter() - began) * 1000 / count, (time.process_time() - cpu) * 1000 / count)

    await measure("put", times, lambda number: queue.put(MESSAGE))
    await measure("peek", times, lambda number: queue.peek())
    batches: list = []

    async def receive(number: int) -> None:
        batches.extend(await queue.receive(32, 600))

    await measure("get 32", times // 32, receive)
    await measure("update", times, lambda number: queue.update(batches[number], 600))
    await measure("delete", times, lambda number: queue.delete(batches[number]))
    await measure("get from empty", times, lambda number: queue.receive(16, 600))
    return costs


async def pickup(host: ListenerHost, queue: Queue, name: str, times: int = 50) -> list[float]:
    """Milliseconds from an in-process put until the function runs, with nothing else in the queue."""
    arrivals: asyncio.Queue[float] = asyncio.Queue()
    app = func.FunctionApp()

    async def work(msg: func.QueueMessage):
        arrivals.put_nowait(time.perf_counter())

    app.function_name("pickup")(app.queue_trigger("msg", name, CONNECTION)(work))
    [function] = index(app.get_functions(), host.settings, host.json).functions.values()
    listener = create_listener(host, function)
    await listener.start()
    delays = []
    for _ in range(times):
        began = time.perf_counter()
        await queue.put(MESSAGE)
        delays.append((await arrivals.get() - began) * 1000)
        while not await listener.is_idle():
            await asyncio.sleep(0.002)
    await listener.stop()
    return delays


def report(
    runs: dict[str, list[Run]], costs: dict[str, tuple[float, float]], delays: list[float], console: Console
) -> None:
    """Print the tables, and whether devhost reaches the aim."""
    rates = {title: statistics.median(run.rate for run in found) for title, found in runs.items()}
    base, *others = rates.values()
    table = Table(title="storage queue trigger")
    for column in ("", "messages/s", "of bare", "CPU ms a message"):
        table.add_column(column, justify="right" if column else "left")
    for title, found in runs.items():
        cpu = statistics.median(run.cpu for run in found)
        table.add_row(title, f"{rates[title]:.0f}", f"{rates[title] / base:.2f}", f"{cpu:.2f}")
    console.print(table)
    table = Table(title="one operation of devhost's queue client")
    for column in ("", "ms", "CPU ms"):
        table.add_column(column, justify="right" if column else "left")
    for title, (wall, cpu) in costs.items():
        table.add_row(title, f"{wall:.2f}", f"{cpu:.2f}")
    console.print(table)
    fast, slow = statistics.median(delays), statistics.quantiles(delays, n=20)[-1]
    console.print(f"in-process put until the function runs: p50 {fast:.1f} ms, p95 {slow:.1f} ms", highlight=False)
    verdict, style = ("reached", "green") if min(others) >= AIM * base else ("MISSED", "red")
    console.print(f"aim: {AIM} of the bare loop: {verdict}", style=style)


def main(arguments: list[str] | None = None) -> int:
    """Measure and print; 0 when the measurement was made, whatever it says."""
    parser = argparse.ArgumentParser(prog="python -m bench.queue_trigger", description=__doc__)
    parser.add_argument("--messages", type=int, default=640, help="messages per round (default: 640)")
    parser.add_argument("--rounds", type=int, default=3, help="figures are medians (default: 3)")
    parser.add_argument("--connection", help="a storage connection string; default: a fresh Azurite in memory")
    options = parser.parse_args(arguments or [])
    # The host's lines are written, if to nowhere: their cost is part of an invocation.
    logging.basicConfig(level=logging.INFO, stream=open(os.devnull, "w"), format="[%(asctime)s] %(message)s")  # noqa: SIM115
    logging.getLogger("azure").setLevel(logging.WARNING)
    console = Console(width=None if sys.stdout.isatty() else 120)
    if options.connection:
        asyncio.run(measure_all(options.connection, options.messages, options.rounds, console))
        return 0
    from devhost.azurite import Azurite

    with Azurite() as azurite:
        asyncio.run(measure_all(azurite.connection_string, options.messages, options.rounds, console))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
