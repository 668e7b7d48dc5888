"""The bus as a process of its own: what it kept is there after a restart, and after `kill -9`."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from azure.servicebus import ServiceBusClient, ServiceBusMessage, ServiceBusMessageState
from azure.servicebus.aio import ServiceBusClient as AioServiceBusClient
from azure.servicebus.exceptions import MessageLockLostError, ServiceBusError

from tests.conformance.service_bus import Bus, bodies, configuration, now
from tests.forked import Popen

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("impatience")]

QUEUES = [
    {"Name": "mixed"},
    {"Name": "steady", "Properties": {"LockDuration": "PT5M"}},
    {"Name": "unique", "Properties": {"RequiresDuplicateDetection": True}},
    {"Name": "sessions", "Properties": {"RequiresSession": True}},
]
TOPICS = [{"Name": "events", "Subscriptions": [{"Name": "all"}]}]


class BusProcess:
    """`python -m devhost.servicebus` with a database in a folder, started as often as one likes."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._process: Popen | None = None
        self.config = folder / "servicebus.json"
        self.config.write_text(json.dumps(configuration({}, QUEUES, TOPICS)))
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self._port = probe.getsockname()[1]

    def start(self) -> str:
        """Its connection string, which stays the same."""
        command = [sys.executable, "-m", "devhost.servicebus", "--config", str(self.config)]
        command += ["--port", str(self._port), "--admin-port", "0", "--database", str(self._folder / "bus.sqlite3")]
        self._process = Popen(command, stdout=subprocess.PIPE)
        ready = json.loads(self._process.stdout.readline())
        assert ready["amqp"] == self._port
        return ready["connectionString"]

    def stop(self, number: signal.Signals) -> int:
        """Its exit code."""
        process, self._process = self._process, None
        process.send_signal(number)
        process.stdout.close()
        return process.wait(100)

    def __enter__(self) -> BusProcess:
        return self

    def __exit__(self, *error: object) -> None:
        if self._process is not None:
            self.stop(signal.SIGKILL)


@pytest.fixture
def process(tmp_path) -> Iterator[BusProcess]:
    with BusProcess(tmp_path) as running:
        yield running


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL])
async def test_all_that_was_acknowledged_survives_a_restart(process, end):
    soon = now() + timedelta(seconds=1)
    bus = Bus(process.start())
    await bus.send("mixed", "locked", "deferred", "dead", "abandoned", "active", subject="s")
    _, deferred, dead, abandoned = await bus.receive("mixed", 4)
    receiver = await bus.shared("mixed")
    await receiver.defer_message(deferred)
    await receiver.dead_letter_message(dead, reason="Bad", error_description="very")
    await receiver.abandon_message(abandoned)
    sender = await bus.sender("mixed")
    [cancelled] = await sender.schedule_messages(ServiceBusMessage("cancelled"), now() + timedelta(hours=1))
    [later] = await sender.schedule_messages(ServiceBusMessage("later"), now() + timedelta(hours=1))
    await sender.schedule_messages(ServiceBusMessage("soon"), soon)
    await sender.cancel_scheduled_messages(cancelled)
    await bus.send("unique", "first", message_id="same")
    await bus.send("sessions", "1", "2", session_id="s")
    session = await bus.receiver("sessions", session_id="s")
    await session.session.set_state("half way")
    await bus.send("events", "happened")
    before = {str(message): message for message in await bus.peek("mixed")}
    await bus.aclose()
    assert process.stop(end) == (0 if end == signal.SIGTERM else -signal.SIGKILL)

    bus = Bus(process.start())
    seen = {str(message): message for message in await bus.peek("mixed")}
    assert set(seen) == {"locked", "deferred", "abandoned", "active", "later", "soon"}
    for text in ("locked", "deferred", "abandoned", "active", "later"):
        assert seen[text].sequence_number == before[text].sequence_number
        assert seen[text].enqueued_time_utc == before[text].enqueued_time_utc
    assert (seen["active"].subject, seen["abandoned"].delivery_count) == ("s", 1)
    assert seen["later"].state == ServiceBusMessageState.SCHEDULED
    [again] = await (await bus.shared("mixed")).receive_deferred_messages(deferred.sequence_number)
    assert str(again) == "deferred"
    [kept] = await bus.dead_letters("mixed")
    assert (str(kept), kept.dead_letter_reason, kept.dead_letter_error_description) == ("dead", "Bad", "very")
    arrived = await bus.receive("mixed", 1) + await bus.receive("mixed", 1)
    assert set(bodies(arrived)) <= {"locked", "abandoned", "active"}
    await (await bus.sender("mixed")).cancel_scheduled_messages(later)
    await bus.send("mixed", "new")
    newest = max(await bus.peek("mixed"), key=lambda message: message.sequence_number)
    assert newest.sequence_number > max(message.sequence_number for message in before.values())
    await bus.send("unique", "second", message_id="same")
    assert bodies(await bus.peek("unique")) == ["first"]
    session = await bus.receiver("sessions", session_id="s")
    assert await session.session.get_state() == b"half way"
    assert bodies(await session.receive_messages(2, max_wait_time=5)) == ["1", "2"]
    assert bodies(await bus.peek("events/all")) == ["happened"]
    await asyncio.sleep(max((soon - now()).total_seconds(), 0))
    async with asyncio.timeout(100):
        while "soon" not in {str(m) for m in await bus.peek("mixed") if m.state == ServiceBusMessageState.ACTIVE}:
            await asyncio.sleep(0.05)
    await bus.aclose()


async def test_killed_in_full_work_it_loses_nothing_and_brings_nothing_back(process):
    """Producers and consumers run until the process is killed; what either was told then holds."""
    acknowledged, attempted, completing, completed = set(), set(), set(), set()

    async def produce(client: AioServiceBusClient, name: str) -> None:
        async with client.get_queue_sender("steady") as sender:
            for number in range(100_000):
                texts = [f"{name}-{number}-{part}" for part in range(1 + number % 3)]
                attempted.update(texts)
                await sender.send_messages([ServiceBusMessage(text) for text in texts])
                acknowledged.update(texts)

    async def consume(client: AioServiceBusClient) -> None:
        async with client.get_queue_receiver("steady") as receiver:
            while True:
                for message in await receiver.receive_messages(5, max_wait_time=1):
                    completing.add(str(message))
                    await receiver.complete_message(message)
                    completed.add(str(message))

    for round_ in range(3):
        connection_string = process.start()
        client = AioServiceBusClient.from_connection_string(connection_string, retry_total=0)
        work = [asyncio.create_task(produce(client, f"{round_}{name}")) for name in "ab"]
        work.append(asyncio.create_task(consume(client)))
        goal = len(acknowledged) + 150
        async with asyncio.timeout(100):
            while len(acknowledged) < goal:
                await asyncio.sleep(0.01)
        process.stop(signal.SIGKILL)
        ended = await asyncio.gather(*work, return_exceptions=True)
        assert all(isinstance(error, ServiceBusError) for error in ended), ended
        await client.close()

    bus = Bus(process.start())
    kept = [str(message) for message in await bus.peek("steady", 10_000)]
    assert len(kept) == len(set(kept))
    # Of what was being completed at a kill nobody knows whether it was done.
    assert acknowledged - completing <= set(kept)
    assert set(kept) <= attempted - completed
    assert completed
    await bus.aclose()


def test_a_client_that_retries_goes_on_after_a_restart(process):
    client = ServiceBusClient.from_connection_string(process.start(), retry_backoff_factor=0.05)
    with client, client.get_queue_sender("mixed") as sender, client.get_queue_receiver("mixed") as receiver:
        sender.send_messages(ServiceBusMessage("before"))
        [message] = receiver.receive_messages(max_wait_time=5)
        process.stop(signal.SIGTERM)
        process.start()
        sender.send_messages(ServiceBusMessage("after"))
        with pytest.raises(MessageLockLostError):
            receiver.complete_message(message)
        received = receiver.receive_messages(2, max_wait_time=10)
        assert bodies(received) == ["before", "after"]
        for message in received:
            receiver.complete_message(message)
