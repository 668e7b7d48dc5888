"""How events get into their topic: one after the other over one link, as many at once as are due."""

from __future__ import annotations

import asyncio
from contextvars import Context
from datetime import datetime, timedelta
from weakref import WeakKeyDictionary

from jobs import clock, telemetry
from jobs.clients import Clients, clients
from jobs.cloud_events import TOPIC, Event
from jobs.errors import JobError, ServiceBusUnavailableError
from jobs.links import links, send_all

LINGER = 0.5
"""Seconds that an event for which nobody waits may be kept, so that others can go with it."""
MOST_DUE = 2000
"""So many events are kept; what comes beyond them is lost, like a process's memory."""
RESPITE = timedelta(seconds=5)
"""So long nothing is sent after the Service Bus was found to be away: to find that out takes seconds."""


class EventStream:
    """The events of one event loop that are still to be sent."""

    def __init__(self) -> None:
        self._due: list[tuple[Event, asyncio.Future[None] | None]] = []
        self._timer: asyncio.TimerHandle | None = None
        self._sending: asyncio.Task[None] | None = None
        self._failure: tuple[str, datetime] | None = None
        """Why the bus could not be told, and when to try again."""
        self._lost = 0

    def put(self, event: Event) -> None:
        """Have it sent soon. It is lost when that fails, or when too many are due."""
        if len(self._due) >= MOST_DUE:
            self._lost += 1
            return
        self._due.append((event, None))
        self._linger()

    async def send(self, event: Event) -> None:
        """Send it now, with all that is due. Raises ServiceBusUnavailableError, SettingMissingError."""
        told: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._due.append((event, told))
        self._begin()
        await told

    async def close(self) -> None:
        """Send what is due."""
        while self._due or self._sending:
            self._begin()
            await self._sending

    def _linger(self) -> None:
        if self._timer is None and self._sending is None:
            self._timer = asyncio.get_running_loop().call_later(LINGER, self._begin, context=Context())

    def _begin(self) -> None:
        if self._timer:
            self._timer.cancel()
            self._timer = None
        if self._sending is None:
            # In a context of its own: what is logged is not about the job whose event was the first.
            self._sending = asyncio.get_running_loop().create_task(self._send_due(), context=Context())

    async def _send_due(self) -> None:
        try:
            while True:
                due, self._due = self._due, []
                await self._send(due)
                if not any(told for _, told in self._due):
                    return
        finally:
            self._sending = None
            if self._due:
                self._linger()

    async def _send(self, due: list[tuple[Event, asyncio.Future[None] | None]]) -> None:
        waiting = [told for _, told in due if told]
        try:
            await self._deliver([event for event, _ in due])
        except BaseException as error:
            self._lost += len(due) - len(waiting)
            for told in waiting:
                if not told.done():
                    told.set_exception(error)
            if not isinstance(error, Exception):
                raise
            self._failed(error)
            return
        self._succeeded()
        for told in waiting:
            # Whoever waited for it may have been cancelled meanwhile.
            if not told.done():
                told.set_result(None)

    async def _deliver(self, events: list[Event]) -> None:
        if self._failure and clock.now() < self._failure[1]:
            raise ServiceBusUnavailableError(self._failure[0])
        async with links().lent(TOPIC) as sender:
            await send_all(sender, [event.to_message() for event in events])

    def _failed(self, error: Exception) -> None:
        if self._failure and clock.now() < self._failure[1]:
            return
        if self._failure is None:
            telemetry.events_untold(error)
        why = str(error) if isinstance(error, JobError) else type(error).__name__
        self._failure = (why, clock.now() + RESPITE)

    def _succeeded(self) -> None:
        if self._failure or self._lost:
            telemetry.events_told_again(self._lost)
        self._failure, self._lost = None, 0


def stream() -> EventStream:
    """The events of this event loop's clients. Those that are due are sent before these are closed."""
    shared = clients()
    if shared not in _streams:
        # The links are closed after it, since they were there before.
        links()
        _streams[shared] = EventStream()
        shared.before_closing(lambda: _streams.pop(shared).close())
    return _streams[shared]


_streams: WeakKeyDictionary[Clients, EventStream] = WeakKeyDictionary()
