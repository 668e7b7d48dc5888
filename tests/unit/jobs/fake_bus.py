"""A Service Bus that only remembers: queues with duplicate detection, locks and dead letters, and no wire."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from azure.servicebus import ServiceBusMessage, ServiceBusMessageState

from jobs.clients import clients
from tests.unit.jobs.crashes import Crashes


@dataclass
class Received:
    """A message as a receiver gets it: what the app looks at."""

    sequence_number: int
    message_id: str
    application_properties: dict[bytes, Any]
    body: list[bytes]
    session_id: str | None
    reply_to: str | None
    correlation_id: str | None
    reply_to_session_id: str | None
    enqueued_time_utc: datetime = field(default_factory=lambda: datetime.now(UTC))
    delivery_count: int = 0
    dead_letter_reason: str | None = None
    dead_letter_error_description: str | None = None
    scheduled_enqueue_time_utc: datetime | None = None
    state: ServiceBusMessageState = ServiceBusMessageState.ACTIVE


@dataclass
class Queue:
    """The messages that are active, and those that are dead; `locked` holds numbers."""

    active: list[Received] = field(default_factory=list)
    dead: list[Received] = field(default_factory=list)
    seen: set[str] = field(default_factory=set)
    locked: set[int] = field(default_factory=set)


class FakeBus:
    """Stands in for a ServiceBusClient. Each call may be the one at which the process dies."""

    def __init__(self, crashes: Crashes) -> None:
        self.queues: defaultdict[str, Queue] = defaultdict(Queue)
        self.crashes = crashes
        self._number = 0

    def get_queue_sender(self, queue: str) -> Sender:
        return Sender(self, self.queues[queue], detects_duplicates=queue in ("poison-jobs", "deliveries"))

    def get_queue_receiver(self, queue: str, *, sub_queue: str | None = None) -> Receiver:
        return Receiver(self, self.queues[queue], is_dead=sub_queue is not None)

    async def close(self) -> None:
        return

    def let_locks_expire(self) -> None:
        for queue in self.queues.values():
            queue.locked.clear()

    def letters(self, **said: str) -> list[Received]:
        """The dead letters of `poison-jobs` that say so; a move that is half made is an error."""
        assert self.queues["poison-jobs"].active == []
        return [each for each in self.queues["poison-jobs"].dead if said.items() <= _text(each).items()]

    def put(self, queue: Queue, message: ServiceBusMessage, detects_duplicates: bool) -> None:
        if detects_duplicates and message.message_id in queue.seen:
            return
        queue.seen.add(message.message_id)
        self._number += 1
        properties = {_bytes(name): _bytes(value) for name, value in (message.application_properties or {}).items()}
        about = (message.session_id, message.reply_to, message.correlation_id, message.reply_to_session_id)
        received = Received(self._number, message.message_id, properties, list(message.body), *about)
        received.scheduled_enqueue_time_utc = message.scheduled_enqueue_time_utc
        queue.active.append(received)


async def restarted(bus: FakeBus) -> None:
    """A new process: it has no connection yet, and the locks of the old one have run out."""
    bus.crashes.restart()
    await clients().close()
    bus.let_locks_expire()
    clients().service_bus = bus


class _End:
    def __init__(self, bus: FakeBus, queue: Queue) -> None:
        self.bus = bus
        self.queue = queue

    async def __aenter__(self) -> Any:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        return


class Batch(list):
    """What a sender makes for many messages."""

    def add_message(self, message: ServiceBusMessage) -> None:
        self.append(message)


class Sender(_End):
    def __init__(self, bus: FakeBus, queue: Queue, detects_duplicates: bool) -> None:
        super().__init__(bus, queue)
        self._detects_duplicates = detects_duplicates

    async def create_message_batch(self) -> Batch:
        return Batch()

    async def send_messages(self, messages: Batch | ServiceBusMessage) -> None:
        with self.bus.crashes.possible("send"):
            for message in messages if isinstance(messages, Batch) else [messages]:
                self.bus.put(self.queue, message, self._detects_duplicates)


class Receiver(_End):
    def __init__(self, bus: FakeBus, queue: Queue, is_dead: bool) -> None:
        super().__init__(bus, queue)
        self._messages = queue.dead if is_dead else queue.active

    async def receive_messages(self, most: int, max_wait_time: float) -> list[Received]:
        with self.bus.crashes.possible("receive"):
            free = [each for each in self._messages if each.sequence_number not in self.queue.locked][:most]
            self.queue.locked |= {each.sequence_number for each in free}
            return free

    async def peek_messages(self, most: int, *, sequence_number: int = 1) -> list[Received]:
        with self.bus.crashes.possible("peek"):
            return [each for each in self._messages if each.sequence_number >= sequence_number][:most]

    async def dead_letter_message(self, message: Received, *, reason: str, error_description: str) -> None:
        with self.bus.crashes.possible("dead-letter"):
            self._take_out(message)
            message.dead_letter_reason, message.dead_letter_error_description = reason, error_description
            self.queue.dead.append(message)

    async def complete_message(self, message: Received) -> None:
        with self.bus.crashes.possible("complete"):
            self._take_out(message)

    async def abandon_message(self, message: Received) -> None:
        with self.bus.crashes.possible("abandon"):
            self.queue.locked.discard(message.sequence_number)

    def _take_out(self, message: Received) -> None:
        self._messages.remove(message)
        self.queue.locked.discard(message.sequence_number)


def _text(message: Received) -> dict[str, Any]:
    return {
        name.decode(): value.decode() if isinstance(value, bytes) else value
        for name, value in message.application_properties.items()
    }


def _bytes(value: Any) -> Any:
    """The SDK gives the text that it receives as bytes."""
    return value.encode() if isinstance(value, str) else value
