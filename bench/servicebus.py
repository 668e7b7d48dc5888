"""The local Service Bus under the real client, and where the time goes: `python -m bench.servicebus`.

One process each side: the bus is `python -m devhost.servicebus`, the client is azure-servicebus's aio client in this
process.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import psutil
from azure.servicebus import ServiceBusMessage
from azure.servicebus.aio import ServiceBusClient, ServiceBusReceiver, ServiceBusSender
from rich.console import Console

from bench import servicebus_trigger
from bench.servicebus_report import Run, print_report

BODY = b"x" * 256
BATCH = 100
"""Messages in a list that is sent, and messages that a consumer asks for and settles at once."""
QUEUE = "bench"
CONFIGURATION = {
    "UserConfig": {
        "Namespaces": [
            {"Name": "sbemulatorns", "Queues": [{"Name": QUEUE}, {"Name": servicebus_trigger.QUEUE}], "Topics": []}
        ],
        "Logging": {"Type": "Console"},
    }
}


class Bus:
    """The bus in a process of its own, with a database in a new folder or in memory."""

    def __init__(self, folder: Path, *, in_memory: bool) -> None:
        config = folder / "servicebus.json"
        config.write_text(json.dumps(CONFIGURATION))
        command = [sys.executable, "-m", "devhost.servicebus", "--config", str(config), "--port", "0"]
        command += ["--admin-port", "0"]
        command += ["--memory"] if in_memory else ["--database", str(folder / "servicebus.sqlite3")]
        began = time.perf_counter()
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        line = self._process.stdout.readline()
        self.ready_ms = (time.perf_counter() - began) * 1000
        self.connection_string: str = json.loads(line)["connectionString"]
        self._usage = psutil.Process(self._process.pid)

    def cpu(self) -> float:
        """CPU seconds that it has used."""
        times = self._usage.cpu_times()
        return times.user + times.system

    def __enter__(self) -> Bus:
        return self

    def __exit__(self, *error: object) -> None:
        self._process.terminate()
        self._process.stdout.close()
        self._process.wait(10)


async def measure_all(bus: Bus, messages: int, rounds: int, console: Console) -> dict[str, list[Run]]:
    """All measures, round by round, on an empty queue each."""
    runs: dict[str, list[Run]] = {title: [] for title in MEASURES}
    async with (
        ServiceBusClient.from_connection_string(bus.connection_string) as client,
        client.get_queue_sender(QUEUE) as sender,
        client.get_queue_receiver(QUEUE) as receiver,
    ):
        await send_singly(sender, BATCH)
        await receive_and_complete(receiver, BATCH)
        for number in range(rounds):
            for title, (prepare, work) in MEASURES.items():
                await prepare(sender, messages)
                run = await meter(bus, messages, work(sender, receiver, messages))
                await drain(receiver)
                runs[title].append(run)
                console.print(f"round {number + 1}: {title:<24}{run.rate:7.0f} messages/s", highlight=False)
    return runs


async def meter(bus: Bus, messages: int, work: Awaitable[Any]) -> Run:
    """Time and CPU of both sides while `work` moves `messages` messages."""
    began, client, server = time.perf_counter(), time.process_time(), bus.cpu()
    await work
    return Run(messages, time.perf_counter() - began, time.process_time() - client, bus.cpu() - server)


async def send_singly(sender: ServiceBusSender, messages: int) -> None:
    """One after the other, each acknowledged before the next."""
    for _ in range(messages):
        await sender.send_messages(ServiceBusMessage(BODY))


async def send_lists(sender: ServiceBusSender, messages: int) -> None:
    """In lists, each acknowledged before the next."""
    for _ in range(0, messages, BATCH):
        await sender.send_messages([ServiceBusMessage(BODY) for _ in range(BATCH)])


async def receive_and_complete(receiver: ServiceBusReceiver, messages: int) -> None:
    """Receive many, complete them all at once, as the client's documentation advises."""
    done = 0
    while done < messages:
        received = await receiver.receive_messages(min(BATCH, messages - done), max_wait_time=10)
        await asyncio.gather(*(receiver.complete_message(message) for message in received))
        done += len(received)


async def send_and_receive(sender: ServiceBusSender, receiver: ServiceBusReceiver, messages: int) -> None:
    """A producer and a consumer at once."""
    await asyncio.gather(send_singly(sender, messages), receive_and_complete(receiver, messages))


async def drain(receiver: ServiceBusReceiver) -> None:
    """Leave the queue empty for the next measure."""
    while await receiver.peek_messages(1, sequence_number=1):
        received = await receiver.receive_messages(BATCH, max_wait_time=1)
        await asyncio.gather(*(receiver.complete_message(message) for message in received))


async def nothing(sender: ServiceBusSender, messages: int) -> None:
    """Needs no preparation."""


Prepare = Callable[[ServiceBusSender, int], Awaitable[None]]
Work = Callable[[ServiceBusSender, ServiceBusReceiver, int], Awaitable[Any]]
MEASURES: dict[str, tuple[Prepare, Work]] = {
    "single sends": (nothing, lambda sender, receiver, count: send_singly(sender, count)),
    "receive and complete": (send_lists, lambda sender, receiver, count: receive_and_complete(receiver, count)),
    "both together": (nothing, send_and_receive),
    f"sends in lists of {BATCH}": (nothing, lambda sender, receiver, count: send_lists(sender, count)),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; 0 when the measurement was made, whatever it says."""
    parser = argparse.ArgumentParser(prog="python -m bench.servicebus", description=__doc__)
    parser.add_argument("--messages", type=int, default=2000, help="messages per measure and round (default: 2000)")
    parser.add_argument("--rounds", type=int, default=3, help="figures are medians (default: 3)")
    parser.add_argument("--memory", action="store_true", help="the bus keeps nothing on disk")
    options = parser.parse_args(arguments or [])
    # The host's lines are written, if to nowhere: their cost is part of an invocation.
    logging.basicConfig(level=logging.INFO, stream=open(os.devnull, "w"), format="[%(asctime)s] %(message)s")  # noqa: SIM115
    logging.getLogger("azure").setLevel(logging.WARNING)
    console = Console(width=None if sys.stdout.isatty() else 120)
    with tempfile.TemporaryDirectory() as folder, Bus(Path(folder), in_memory=options.memory) as bus:
        runs = asyncio.run(measure_all(bus, options.messages, options.rounds, console))
        triggers = asyncio.run(
            servicebus_trigger.measure_all(bus.connection_string, options.messages, options.rounds, console)
        )
        print_report(runs, triggers, bus.ready_ms, console)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
