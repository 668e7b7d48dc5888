"""Channels: each takes messages from one link, as many as there is room for, and has them processed."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Awaitable
from typing import TYPE_CHECKING

from azure.servicebus.exceptions import ServiceBusError

from devhost.listeners.service_bus_link import ReceiveLink

if TYPE_CHECKING:
    from azure.servicebus import ServiceBusReceivedMessage
    from azure.servicebus.aio import ServiceBusReceiver

    from devhost.host import Host
    from devhost.listeners.service_bus_options import ServiceBusOptions
    from devhost.listeners.service_bus_processor import Processor

_log = logging.getLogger("devhost.servicebus")

_SETTLE_PAUSE = 1.0
"""Seconds before a settlement that the service refused for no lasting reason is tried again."""


class Channel:
    """What the two kinds of channels share: a link that may be replaced, and the wish to end."""

    def __init__(self, host: Host, processor: Processor) -> None:
        self._host = host
        self._processor = processor
        self.link: ReceiveLink | None = None
        """The link in use, or the last one; None before the first open()."""
        self._changed = asyncio.Event()
        self._replaced = asyncio.Event()
        self._is_stopping = False
        self._is_lost = True

    async def open(self, receiver: ServiceBusReceiver) -> None:
        """Take messages from `receiver` from now on. Raises ServiceBusError; the channel may then be opened again."""
        self.link = ReceiveLink(receiver, self._arrived, self._lost)
        await self.link.open()
        self._is_lost = False
        self._replaced.set()

    async def serve(self, idle_timeout: float | None = None) -> None:
        """Take and process messages until the link is lost, stop(), or nothing came for `idle_timeout` seconds.

        After stop() what no function has seen yet is handed back, and no more is coming.
        """
        raise NotImplementedError

    async def finish(self) -> None:
        """Wait for what is running, and its settlement."""
        raise NotImplementedError

    async def close(self) -> None:
        """Close the link. What is running goes on, and is settled if the channel is opened again."""
        self._is_lost = True
        self._replaced.clear()
        if self.link is not None:
            await self.link.close()

    def stop(self) -> None:
        """Ask serve() to return."""
        self._is_stopping = True
        self._changed.set()
        self._replaced.set()

    async def replaced(self, receiver: ServiceBusReceiver) -> bool:
        """Wait for another link than that of `receiver`, which failed. False if there will be none."""
        if not self._is_lost and self.link.receiver is receiver:
            await asyncio.sleep(_SETTLE_PAUSE)  # it refused; the link is as good as before
            return not self._is_stopping
        while self._is_lost and not self._is_stopping:
            await self._replaced.wait()
        return not self._is_lost

    async def is_idle(self) -> bool:
        """Nothing runs, and the service, which could send, has nothing. False as well while there is no link."""
        if self.is_busy or self._is_lost:
            return False
        with contextlib.suppress(ServiceBusError):
            await self.link.settled_down()
        return not self.is_busy and not self._is_lost

    async def is_waiting(self) -> bool:
        """open() waits for a session, and the service has none."""
        link = self.link
        if link is None or not link.is_attaching:
            return False
        with contextlib.suppress(ServiceBusError):
            await link.settled_down()
        return link.is_attaching

    @property
    def _is_working(self) -> bool:
        return not self._is_stopping and not self._is_lost

    @property
    def is_granted(self) -> bool:
        """Whether the service has answered open(), be it that nobody has noticed yet."""
        return self.link is not None and self.link.is_attached

    @property
    def is_busy(self) -> bool:
        """Whether a message is being worked on, or waits here for that."""
        raise NotImplementedError

    def _arrived(self, message: ServiceBusReceivedMessage) -> None:
        raise NotImplementedError

    def _lost(self, error: ServiceBusError) -> None:
        _log.debug("A link to the service is lost: %s", error)
        self._is_lost = True
        self._replaced.clear()
        self._changed.set()

    async def _change(self, timeout: float | None = None) -> bool:
        """Wait for something to happen; False when nothing did for `timeout` seconds."""
        try:
            async with asyncio.timeout(timeout):
                await self._changed.wait()
        except TimeoutError:
            return False
        self._changed.clear()
        return True

    async def _release(self, messages: list[ServiceBusReceivedMessage]) -> None:
        """Hand back what no function has seen; it costs no delivery."""
        with contextlib.suppress(ServiceBusError):
            for message in messages:
                await self.link.release(message)


class CallChannel(Channel):
    """One message an invocation, up to `limit` at once."""

    def __init__(self, host: Host, processor: Processor, limit: int, prefetch: int) -> None:
        """`prefetch`: how many messages may wait here, locked, beside those that run."""
        super().__init__(host, processor)
        self._limit = limit
        self._most = limit + prefetch
        self._running: set[asyncio.Task[None]] = set()
        self._prefetched: deque[ServiceBusReceivedMessage] = deque()

    async def serve(self, idle_timeout: float | None = None) -> None:
        """See Channel."""
        with contextlib.suppress(ServiceBusError):  # the link is lost then
            while self._is_working:
                await self._top_up()
                if not await self._change(None if self.is_busy else idle_timeout) and await self._is_dry():
                    break
            if self._is_stopping:
                await self.link.drain()
        if self._is_stopping:
            unseen = list(self._prefetched)
            self._prefetched.clear()
            await self._release(unseen)

    async def finish(self) -> None:
        """See Channel."""
        while self._running:
            await asyncio.wait(self._running)

    async def _is_dry(self) -> bool:
        await self.link.drain()
        return not self.is_busy

    async def _top_up(self) -> None:
        """Give credit for what there is room for; not for each message, since a frame costs as much for many."""
        room = self._most - len(self._running) - len(self._prefetched)
        credit = self.link.credit
        if credit == 0 < room or room - credit > self._most // 2:
            await self.link.grant(room)

    @property
    def is_busy(self) -> bool:
        """See Channel."""
        return bool(self._running or self._prefetched)

    def _arrived(self, message: ServiceBusReceivedMessage) -> None:
        if self._is_stopping or len(self._running) >= self._limit:
            self._prefetched.append(message)
        else:
            self._start(message)

    def _start(self, message: ServiceBusReceivedMessage) -> None:
        task = asyncio.create_task(guard(self._host, self._processor.run(self, message)))
        self._running.add(task)
        task.add_done_callback(self._ended)
        self._changed.set()

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        if self._prefetched and not self._is_stopping:
            self._start(self._prefetched.popleft())
        self._changed.set()


class BatchChannel(Channel):
    """Many messages an invocation, one invocation at a time."""

    def __init__(self, host: Host, processor: Processor, options: ServiceBusOptions) -> None:
        super().__init__(host, processor)
        self._options = options
        self._messages: list[ServiceBusReceivedMessage] = []
        self._running: asyncio.Task[None] | None = None

    async def serve(self, idle_timeout: float | None = None) -> None:
        """See Channel."""
        with contextlib.suppress(ServiceBusError):  # the link is lost then
            while self._is_working:
                if self._running is not None:
                    await self._change()
                elif not await self._collect(idle_timeout):
                    break
                elif self._is_working:
                    batch, self._messages = self._messages, []
                    self._running = asyncio.create_task(guard(self._host, self._processor.run_batch(self, batch)))
                    self._running.add_done_callback(self._ended)
            if self._is_stopping:
                await self.link.drain()
        if self._is_stopping:
            unseen, self._messages = self._messages, []
            await self._release(unseen)

    async def finish(self) -> None:
        """See Channel."""
        if self._running is not None:
            await asyncio.wait({self._running})

    async def _collect(self, idle_timeout: float | None) -> bool:
        """Have messages, as many as there are, or stop working; False when none came within `idle_timeout`."""
        options, loop = self._options, asyncio.get_running_loop()
        if not self._messages:
            await self.link.grant(options.max_batch_size)
        while not self._messages and self._is_working:
            if not await self._change(idle_timeout):
                await self.link.drain()
                return bool(self._messages)
        ends = loop.time() + options.max_batch_wait
        while len(self._messages) < options.min_batch_size and self._is_working and loop.time() < ends:
            await self._change(ends - loop.time())
        await self.link.drain()
        return True

    @property
    def is_busy(self) -> bool:
        """See Channel."""
        return bool(self._running or self._messages)

    def _arrived(self, message: ServiceBusReceivedMessage) -> None:
        self._messages.append(message)
        self._changed.set()

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._running = None
        self._changed.set()


async def guard(host: Host, work: Awaitable[None]) -> None:
    """Do it; an exception is a fault of devhost, not of the function."""
    try:
        await work
    except Exception as error:
        host.failed(error)
