"""A thousand messages that must end as dead letters, of ten sorts, and a thousand good jobs, over all doors."""

from __future__ import annotations

import asyncio
import base64
import json
import random
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import httpx
from azure.data.tables import TableServiceClient
from azure.servicebus import ServiceBusClient, ServiceBusMessage, ServiceBusSubQueue
from azure.storage.queue import QueueServiceClient, aio

from sandbox.in_process import Sandbox
from tests.acceptance.processes import BusProcess, HostProcess, wait_until
from tests.orders import article, order

STORAGE_QUEUES = ("jobs", "jobs-urgent", "jobs-poison", "jobs-urgent-poison", "webjobs-blobtrigger-poison")
BUS_QUEUES = ("jobs", "order-events", "poison-jobs")
NATIVE = ("jobs", "order-events")
SKU = "POISON"

Door = str
Message = tuple[Door, str]


class Load:
    """`each` messages of every sort of poison, and ten times as many good jobs. `name` keeps ids apart."""

    def __init__(self, name: str, each: int) -> None:
        self.name = name
        self.each = each

    @property
    def expected(self) -> Counter[tuple[str, str]]:
        """The dead letters by reason and source."""
        sorts = [
            ("NotAJob", "storage:jobs"),
            ("UnknownKind", "storage:jobs-urgent"),
            ("InvalidInput", "storage:jobs"),
            ("JobConflict", "storage:jobs"),
            ("MailRefused", "storage:jobs"),
            ("MaxDequeueCountExceeded", "storage:jobs-urgent"),
            ("NotAJob", "servicebus:jobs"),
            ("JobNotFound", "servicebus:order-events"),
            ("OutOfStock", "http"),
            ("MaxDequeueCountExceeded", "blob:photos"),
        ]
        return Counter({sort: self.each for sort in sorts})

    @property
    def good(self) -> int:
        return 10 * self.each

    def article(self) -> dict[str, Any]:
        """Enough for every good order, and for none of the bad ones."""
        return article(SKU, self.each)

    def queue_messages(self) -> Iterator[Message]:
        """Storage queue and text."""
        for number in range(self.each):
            yield "jobs", f"this is no job {self.name} {number}"
            yield "jobs-urgent", self._job("haircut", f"hair-{number}", {})
            yield "jobs", self._job("analytics", f"bad-{number}", {"event": 7})
            # Of two jobs with one id and different inputs, whichever comes first is the good one.
            yield "jobs", self._job("analytics", f"twin-{number}", {"event": "seen"})
            yield "jobs", self._job("analytics", f"twin-{number}", {"event": "seen-otherwise"})
            yield "jobs", self._job("mail", f"refused-{number}", self._mail("refused"))
            yield "jobs-urgent", self._job("mail", f"failing-{number}", self._mail("failing"))
            yield "jobs", self._job("mail", f"mail-{number}", self._mail("good"))
            for copy in range(3):
                yield "jobs", self._job("analytics", f"event-{number}-{copy}", {"event": "seen"})
                yield "jobs-urgent", self._job("analytics", f"urgent-{number}-{copy}", {"event": "seen"})
            blob = {"ContainerName": "photos", "BlobName": f"{self.name}-{number}.jpg", "ETag": '"0x1"'}
            about = {"FunctionId": "Host.Functions.photo", "BlobType": "BlockBlob"}
            yield "webjobs-blobtrigger-poison", json.dumps(about | blob)

    def bus_messages(self) -> Iterator[tuple[Door, ServiceBusMessage]]:
        """Service Bus queue and message."""
        for number in range(self.each):
            encoded = base64.b64encode(self._job("analytics", f"hidden-{number}", {"event": "seen"}).encode())
            yield "jobs", ServiceBusMessage(encoded, message_id=f"{self.name}-encoded-{number}")
            yield "jobs", ServiceBusMessage(self._job("analytics", f"bus-{number}", {"event": "seen"}))
            cancel = json.dumps({"event": "cancel", "sequence": 1})
            yield "order-events", ServiceBusMessage(cancel, session_id=f"{self.name}-nobody-{number}")

    def orders(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Order id and input, for HTTP."""
        for number in range(self.each):
            yield f"{self.name}-order-{number}", order(f"{self.name}-{number}", SKU)
            yield f"{self.name}-greedy-{number}", order(f"{self.name}-{number}", SKU, quantity=1000)

    def _job(self, kind: str, id: str, input: dict[str, Any]) -> str:
        return json.dumps({"kind": kind, "id": f"{self.name}-{id}", "input": input})

    def _mail(self, whose: str) -> dict[str, str]:
        return {"to": f"{whose}@example.com", "subject": "News", "text": "Soon."}


def aim_faults(sandbox: Sandbox) -> None:
    """One recipient does not exist, and another's mailbox is always busy."""
    for recipient, fault in (("refused", "decline"), ("failing", "error")):
        sandbox.fault({"when": {"operation": "mail", "recipient": f"{recipient}@example.com"}, "fault": fault})


def send(load: Load, settings: Mapping[str, str]) -> None:
    """Everything but the orders; in an order that mixes good and bad."""
    asyncio.run(_send_to_storage(load, settings["AzureWebJobsStorage"]))
    to_bus = list(load.bus_messages())
    with ServiceBusClient.from_connection_string(settings["AzureWebJobsServiceBus"]) as bus:
        for queue in NATIVE:
            with bus.get_queue_sender(queue) as sender:
                sender.send_messages([message for door, message in to_bus if door == queue])


async def _send_to_storage(load: Load, connection_string: str) -> None:
    messages = list(load.queue_messages())
    random.Random(1).shuffle(messages)
    async with aio.QueueServiceClient.from_connection_string(connection_string) as service:
        queues = {name: service.get_queue_client(name) for name in STORAGE_QUEUES}
        room = asyncio.Semaphore(8)

        async def put(queue: str, text: str) -> None:
            async with room:
                await queues[queue].send_message(text)

        await asyncio.gather(*(put(queue, text) for queue, text in messages))


@contextmanager
def ordering(load: Load, host: HostProcess) -> Iterator[None]:
    """Hands in the orders as a client that tries again when nobody answers; all are accepted when the block ends."""

    def submit(id: str, input: dict[str, Any]) -> None:
        def accepted() -> bool:
            headers = {"Idempotency-Key": id}
            try:
                answer = httpx.post(f"{host.url}/api/jobs/order", json=input, headers=headers, timeout=30)
            except httpx.TransportError:
                time.sleep(0.1)
                return False
            return answer.status_code in (200, 202)

        wait_until(accepted, f"order {id} is accepted", seconds=400)

    with ThreadPoolExecutor(2) as pool:
        pending = [pool.submit(submit, id, input) for id, input in load.orders()]
        try:
            yield
            for each in pending:
                each.result()
        finally:
            # When the test has failed nobody answers any more, and each of them would wait for that.
            pool.shutdown(wait=False, cancel_futures=True)


class Outcome:
    """What became of a load."""

    def __init__(self, load: Load, settings: Mapping[str, str], bus: BusProcess) -> None:
        self._load = load
        self._bus = bus
        self._settings = settings

    def completed(self) -> int:
        """Jobs of the load that are Completed in the ledger."""
        with TableServiceClient.from_connection_string(self._settings["AzureWebJobsStorage"]) as service:
            rows = service.get_table_client("jobs").query_entities("state eq 'Completed'", select=["RowKey"])
            return sum(row["RowKey"].startswith(self._load.name) for row in rows)

    def letters(self) -> list[Any]:
        """All dead letters, as peeked."""
        return [letter for queue in BUS_QUEUES for letter in self._peek_dead_letters(queue)]

    def waiting(self) -> dict[str, int]:
        """How many messages are left in each queue that has any."""
        in_bus = {f"servicebus:{queue}": self._bus.active(queue) for queue in BUS_QUEUES}
        return {queue: count for queue, count in in_bus.items() if count} | self.waiting_in_storage()

    def waiting_in_storage(self) -> dict[str, int]:
        """The same of the storage queues, which are there when the host and the bus are not."""
        with QueueServiceClient.from_connection_string(self._settings["AzureWebJobsStorage"]) as service:
            counts = {
                f"storage:{queue}": service.get_queue_client(queue).get_queue_properties().approximate_message_count
                for queue in STORAGE_QUEUES
            }
        return {queue: count for queue, count in counts.items() if count}

    def has_ended(self) -> bool:
        """Nothing waits, and every good job is done."""
        return not self.waiting() and self.completed() == self._load.good

    def __str__(self) -> str:
        return f"{self.completed()} jobs completed, waiting: {self.waiting()}, dead letters: {dict(self.sorts())}"

    def sorts(self) -> Counter[tuple[str, str]]:
        """The dead letters by reason and source; a blob's source without its name."""
        return Counter((letter.dead_letter_reason, _source(letter)) for letter in self.letters())

    def _peek_dead_letters(self, queue: str) -> list[Any]:
        found: list[Any] = []
        with (
            ServiceBusClient.from_connection_string(self._settings["AzureWebJobsServiceBus"]) as bus,
            bus.get_queue_receiver(queue, sub_queue=ServiceBusSubQueue.DEAD_LETTER) as receiver,
        ):
            while page := receiver.peek_messages(250, sequence_number=found[-1].sequence_number + 1 if found else 0):
                found += page
        return found


def _source(letter: Any) -> str:
    properties = {_text(name): _text(value) for name, value in (letter.application_properties or {}).items()}
    return properties.get("source", "").partition("/")[0]


def _text(value: Any) -> Any:
    return value.decode() if isinstance(value, bytes) else value
