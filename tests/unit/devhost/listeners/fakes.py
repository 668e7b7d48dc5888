"""A queue service in memory that can go away, and the least host that a queue listener needs."""

from __future__ import annotations

import asyncio
import base64
import itertools
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

from devhost.functions import Binding, Function
from devhost.host_json import HostJson
from devhost.invocation import FunctionInvocationError, TriggerData
from devhost.listeners.queue import QueueListener
from devhost.outages import Outages
from devhost.settings import Settings
from devhost.storage.errors import StorageError, StorageUnavailableError
from devhost.storage.queue import ReceivedMessage


class FakeQueue:
    """Keeps the rules of visibility and pop receipts, in real time."""

    def __init__(self, service: FakeQueues, name: str) -> None:
        self.service = service
        self.name = name
        self.messages: dict[str, ReceivedMessage] = {}
        self.exists = True
        self.watchers: set[asyncio.Event] = set()
        self.updates: list[tuple[str, int]] = []
        self.failed_updates = 0

    def watch(self) -> asyncio.Event:
        event = asyncio.Event()
        self.watchers.add(event)
        return event

    def unwatch(self, event: asyncio.Event) -> None:
        self.watchers.discard(event)

    def add(self, body: bytes | str, dequeued: int = 0) -> str:
        """Put a message (bytes are encoded as base64) and wake the watchers."""
        text = base64.b64encode(body).decode() if isinstance(body, bytes) else body
        number, now = f"m{next(self.service.numbers)}", datetime.now(UTC)
        self.messages[number] = ReceivedMessage(number, text, "", dequeued, now, now + timedelta(days=7), now)
        for event in self.watchers:
            event.set()
        return number

    async def put(self, text: str, *, create: bool = False, patience: float = 0.0) -> None:
        await self.service.answer()
        if not self.exists and not create:
            raise StorageError(404, "QueueNotFound", "")
        self.exists = True
        self.add(text)

    async def receive(self, count: int, visibility: int) -> list[ReceivedMessage]:
        self.service.receives.append(count)
        await self.service.answer()
        if not self.exists:
            raise StorageError(404, "QueueNotFound", "")
        taken = []
        for message in [m for m in self.messages.values() if m.next_visible_on <= datetime.now(UTC)][:count]:
            message.dequeue_count += 1
            self._hide(message, visibility)
            copy = {name: getattr(message, name) for name in ReceivedMessage.__slots__}
            taken.append(ReceivedMessage(**copy))
        return taken

    async def peek(self, count: int = 1) -> list[str]:
        await self.service.answer()
        return [m.text for m in self.messages.values() if m.next_visible_on <= datetime.now(UTC)][:count]

    async def delete(self, message: ReceivedMessage) -> None:
        await self.service.answer()
        self._owned(message)
        del self.messages[message.id]

    async def update(self, message: ReceivedMessage, visibility: int) -> None:
        self.failed_updates += self.service.fault is not None
        await self.service.answer()
        stored = self._owned(message)
        self.updates.append((message.id, visibility))
        self._hide(stored, visibility)
        message.pop_receipt = stored.pop_receipt

    def _owned(self, message: ReceivedMessage) -> ReceivedMessage:
        if message.id not in self.messages:
            raise StorageError(404, "MessageNotFound", "")
        if self.messages[message.id].pop_receipt != message.pop_receipt:
            raise StorageError(400, "PopReceiptMismatch", "")
        return self.messages[message.id]

    def _hide(self, message: ReceivedMessage, seconds: int) -> None:
        message.next_visible_on = datetime.now(UTC) + timedelta(seconds=seconds)
        message.pop_receipt = f"r{next(self.service.numbers)}"


class FakeQueues:
    """A queue service; set `fault` to have every request fail with it."""

    name = "Queue storage at fake"

    def __init__(self) -> None:
        self.fault: Exception | None = None
        self.receives: list[int] = []
        self.numbers = itertools.count(1)
        self._queues: dict[str, FakeQueue] = {}

    def queue(self, name: str) -> FakeQueue:
        return self._queues.setdefault(name, FakeQueue(self, name))

    def go_away(self) -> None:
        self.fault = StorageUnavailableError("Connection refused.")

    async def answer(self) -> None:
        await asyncio.sleep(0)
        if self.fault:
            raise self.fault


class FakeHost:
    """Invokes by calling `work(trigger)`; an exception in it is a failed function."""

    def __init__(self, work: Callable[[TriggerData], Awaitable[Any]], lease: int = 600, **queues: Any) -> None:
        self.settings = Settings({"DEVHOST_QUEUE_LEASE": str(lease)})
        self.json = HostJson({"version": "2.0", "extensions": {"queues": queues}})
        self.outages = Outages()
        self.service = FakeQueues()
        self.storage = SimpleNamespace(queues=lambda connection: self.service)
        self.faults: list[BaseException] = []
        self.running = self.most_running = 0
        self._work = work

    def listener(self, queue_name: str = "work", **properties: Any) -> QueueListener:
        trigger = Binding("queueTrigger", "msg", "in", {"queueName": queue_name, **properties})
        return QueueListener(self, Function("Work", print, (trigger,), trigger, False, "."))

    async def invoke(self, function: Function, trigger: TriggerData) -> None:
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        try:
            await self._work(trigger)
        except Exception as error:
            raise FunctionInvocationError(f"{type(error).__name__}: {error}") from error
        finally:
            self.running -= 1

    def failed(self, error: BaseException) -> None:
        self.faults.append(error)


async def until(condition: Callable[[], Any]) -> None:
    """Return when the condition holds; the test's own timeout ends a vain wait."""
    async with asyncio.timeout(100):
        while not condition():
            await asyncio.sleep(0.005)
