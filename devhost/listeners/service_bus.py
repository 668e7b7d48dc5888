"""The Service Bus trigger for queues and subscriptions, their sessions and batches (functions-host.md §7)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable
from typing import TYPE_CHECKING

from azure.servicebus.exceptions import OperationTimeoutError, ServiceBusError, SessionCannotBeLockedError

from devhost.listeners.backoff import Backoff
from devhost.listeners.service_bus_channel import BatchChannel, CallChannel, Channel, guard
from devhost.listeners.service_bus_entity import Entity, advice, is_away
from devhost.listeners.service_bus_lock import LockRenewal
from devhost.listeners.service_bus_options import ServiceBusOptions
from devhost.listeners.service_bus_processor import Processor
from devhost.listeners.service_bus_times import quicken_times

if TYPE_CHECKING:
    from azure.servicebus.aio import ServiceBusReceiver

    from devhost.functions import Function
    from devhost.host import Host

_log = logging.getLogger("devhost.servicebus")

_LONGEST_PAUSE = 2.0
"""Seconds between attempts to reach an entity that is not there."""
_ACCEPTORS = 2
"""How many links wait for a session at a time. Each is a connection; the next waits as soon as one has its session."""
_NO_SESSION = (OperationTimeoutError, SessionCannotBeLockedError)


class ServiceBusListener:
    """Watches one queue or subscription for one function. A missing entity or bus is waited for."""

    def __init__(self, host: Host, function: Function) -> None:
        """Raises what ServiceBusConnections.namespace raises, EntityError, ServiceBusOptionsError."""
        quicken_times()
        properties = function.trigger.properties
        self._host = host
        self._options = ServiceBusOptions.from_host(host)
        self._entity = Entity(host.service_bus.namespace(properties.get("connection")), function.trigger)
        self._has_sessions = bool(properties.get("isSessionsEnabled"))
        self._is_batch = str(properties.get("cardinality") or "").upper() == "MANY"
        self._processor = Processor(host, function, self._entity, self._options)
        self._stopping = asyncio.Event()
        self._function = function
        self._tasks: set[asyncio.Task[None]] = set()
        self._channels: set[Channel] = set()
        self._opening: dict[Channel, asyncio.Task[None]] = {}
        self._room = asyncio.Semaphore(0)
        self._fault = ""

    async def start(self) -> None:
        """Begin to listen. A missing entity or a bus that is away is no error: it is tried until it is there."""
        self._stopping.clear()
        if self._has_sessions:
            self._room = asyncio.Semaphore(self._options.max_concurrent_sessions)
            for _ in range(min(_ACCEPTORS, self._options.max_concurrent_sessions)):
                self._begin(self._accept_sessions())
        else:
            self._begin(self._listen())

    async def stop(self) -> None:
        """Take no more messages; hand back those just taken; wait for the running ones and their settlement."""
        self._stopping.set()
        for channel in self._channels:
            channel.stop()
        for opening in self._opening.values():
            opening.cancel()
        for _ in range(_ACCEPTORS):
            self._room.release()
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def is_idle(self) -> bool:
        """Nothing runs, and the service, asked again, has nothing to send (unless it is away)."""
        if self._fault:
            return not any(channel.is_busy for channel in self._channels)
        # While no link waits for a session, because all have one or are on their way, there may be more.
        if self._has_sessions and not any([await channel.is_waiting() for channel in list(self._opening)]):
            return False
        asked = set(self._channels)
        if not all([await channel.is_idle() for channel in asked]) or not (asked or self._has_sessions):
            return False
        # What came during these questions: a session for a link that waited, a message for one that was asked before.
        granted = any(channel.is_granted for channel in self._opening)
        return not granted and asked == self._channels and not any(channel.is_busy for channel in asked)

    def _begin(self, work: Awaitable[None]) -> None:
        task = asyncio.create_task(guard(self._host, work), name=f"listener {self._entity.path}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # Without sessions: one link, for as long as it lasts

    async def _listen(self) -> None:
        channel = self._channel(self._options.max_concurrent_calls, self._options.prefetch_count)
        self._channels.add(channel)
        backoff = Backoff(_LONGEST_PAUSE)
        while not self._stopping.is_set():
            if await self._open(channel, self._entity.receiver(), backoff):
                await channel.serve()
                if not self._stopping.is_set():
                    await channel.close()
        await channel.finish()
        await channel.close()
        self._channels.discard(channel)

    # With sessions: a link for each, for as long as the session has messages

    async def _accept_sessions(self) -> None:
        backoff = Backoff(_LONGEST_PAUSE)
        while True:
            await self._room.acquire()
            if self._stopping.is_set():
                return
            channel = self._channel(self._options.max_concurrent_calls_per_session, self._options.prefetch_count)
            if await self._open(channel, self._entity.session_receiver(), backoff):
                self._channels.add(channel)
                self._begin(self._serve_session(channel))
            else:
                self._room.release()

    async def _serve_session(self, channel: Channel) -> None:
        session = channel.link.receiver.session
        lock = LockRenewal(
            f"session '{session.session_id}' of '{self._entity.path}'",
            session.locked_until_utc,
            session.renew_lock,
            0 if self._is_batch else self._options.max_lock_renewal,
        )
        try:
            await channel.serve(self._options.session_idle_timeout)
            await channel.finish()
        finally:
            await lock.release()
            await channel.close()
            self._channels.discard(channel)
            self._room.release()

    # Opening

    def _channel(self, limit: int, prefetch: int) -> Channel:
        if self._is_batch:
            return BatchChannel(self._host, self._processor, self._options)
        return CallChannel(self._host, self._processor, limit, prefetch)

    async def _open(self, channel: Channel, receiver: ServiceBusReceiver, backoff: Backoff) -> bool:
        """Open the channel; if that cannot be, say why, once, and pause. stop() cuts it short."""
        opening = self._opening[channel] = asyncio.create_task(channel.open(receiver))
        await asyncio.wait({opening})
        del self._opening[channel]
        error = None if opening.cancelled() else opening.exception()
        if error is None or isinstance(error, _NO_SESSION):
            if not opening.cancelled():
                self._reached()
                backoff.reset()
            if self._stopping.is_set():
                channel.stop()
            return error is None and not opening.cancelled()
        self._not_reached(error)
        try:
            async with asyncio.timeout(backoff.next()):
                await self._stopping.wait()
        except TimeoutError:
            pass
        return False

    def _reached(self) -> None:
        self._host.outages.recovered(self._entity.namespace.name)
        if self._fault:
            self._fault = ""
            _log.info("Function '%s' listens to '%s'.", self._function.name, self._entity.path)

    def _not_reached(self, error: BaseException) -> None:
        if not isinstance(error, ServiceBusError):
            self._host.failed(error)
        elif is_away(error):
            self._host.outages.report(self._entity.namespace.name, error)
        elif str(error) != self._fault:
            # What the service has said of a token stands only in the error behind the SDK's.
            said = error.inner_exception or error
            _log.error(
                "Function '%s' cannot listen to '%s' of %s: %s %s The listener keeps trying.",
                self._function.name, self._entity.path, self._entity.namespace.name, said, advice(error),
            )  # fmt: skip
        self._fault = str(error)
