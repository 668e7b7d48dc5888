"""Messages that start a job when their time has come: until then the Service Bus queue `jobs` holds them back."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING
from uuid import uuid4
from weakref import WeakKeyDictionary

from jobs.clients import Clients, clients
from jobs.entry import JobRef
from jobs.links import Link, links, send_all

if TYPE_CHECKING:
    from azure.servicebus import ServiceBusMessage

TO_JOBS = Link("jobs", sends=True)


def message(job: JobRef, body: bytes, due: datetime) -> ServiceBusMessage:
    """A message that the queue holds back until then."""
    # Imported here because it takes a tenth of a second, and most jobs need none of it.
    from azure.servicebus import ServiceBusMessage

    return ServiceBusMessage(
        body,
        message_id=uuid4().hex,
        correlation_id=job.correlation_id,
        content_type="application/json",
        scheduled_enqueue_time_utc=due,
    )


async def send(messages: Sequence[ServiceBusMessage]) -> None:
    """Send them. Raises ServiceBusUnavailableError, SettingMissingError: some may have been sent."""
    async with links().lent(TO_JOBS) as sender:
        await send_all(sender, messages)


async def send_with_others(one: ServiceBusMessage) -> None:
    """Send it with all that other tasks want to send meanwhile. Raises as `send` does."""
    await _outboxes.setdefault(clients(), _Outbox()).send(one)


class _Outbox:
    """What tasks of one event loop have to send. A link takes one at a time, and each would wait for all before it."""

    def __init__(self) -> None:
        self._due: list[ServiceBusMessage] = []
        self._next: asyncio.Task[None] | None = None
        """Will send what is due, and has not begun to."""
        self._turn = asyncio.Lock()

    async def send(self, one: ServiceBusMessage) -> None:
        self._due.append(one)
        if self._next is None:
            self._next = asyncio.create_task(self._send_due())
        # Others wait for it, too: who is cancelled does not take it along.
        await asyncio.shield(self._next)

    async def _send_due(self) -> None:
        async with self._turn:
            due, self._due, self._next = self._due, [], None
            await send(due)


_outboxes: WeakKeyDictionary[Clients, _Outbox] = WeakKeyDictionary()
