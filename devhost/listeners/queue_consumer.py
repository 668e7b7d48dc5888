"""Takes messages from a storage queue, has each handled, and settles it by the outcome (functions-host.md §4)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from enum import Enum, auto
from typing import TYPE_CHECKING

from devhost.listeners.backoff import Backoff
from devhost.listeners.message_lease import MessageLease
from devhost.storage.errors import StorageError, StorageUnavailableError

if TYPE_CHECKING:
    from devhost.host import Host
    from devhost.storage.queue import Queue, ReceivedMessage
    from devhost.storage.queue_options import QueueOptions

_log = logging.getLogger("devhost.queues")

_NOT_OURS = {"PopReceiptMismatch", "MessageNotFound", "QueueNotFound", "QueueBeingDeleted", "QueueDisabled"}
"""Answers to a settlement that mean: it is gone, or another host took it after our lease ran out."""
_STOP_PATIENCE = 5.0
"""Seconds that stop() gives to a receive that is under way; its messages would be hidden until their lease ends."""


class Outcome(Enum):
    """What became of a message."""

    DONE = auto()
    """It is deleted."""
    FAILED = auto()
    """It comes again, or goes to the poison queue when it has been tried often enough."""
    HOPELESS = auto()
    """It goes to the poison queue at once."""


class QueueConsumer:
    """Watches one queue. Handles up to batchSize + newBatchThreshold messages at once."""

    def __init__(
        self,
        host: Host,
        queue: Queue,
        options: QueueOptions,
        handle: Callable[[ReceivedMessage], Awaitable[Outcome]],
        poison_for: Callable[[ReceivedMessage], Queue | None],
    ) -> None:
        """`poison_for` says where a message ends that keeps failing; None: it stays hidden until its lease ends."""
        self._host = host
        self._queue = queue
        self._options = options
        self._handle = handle
        self._poison_for = poison_for
        self._running: set[asyncio.Task[None]] = set()
        self._room = asyncio.Event()
        self._stopping = asyncio.Event()
        self._arrival: asyncio.Event | None = None
        self._polling = False
        self._loop: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to poll. A missing queue or a service that is away is no error: polling goes on until it is there."""
        self._stopping.clear()
        self._arrival = self._queue.watch()
        self._loop = asyncio.create_task(self._run(), name=f"consumer of {self._queue.name}")

    async def stop(self) -> None:
        """Take no more messages; hand back those just taken; wait for the running ones and their settlement."""
        if self._loop is None:
            return
        self._stopping.set()
        self._room.set()
        self._arrival.set()
        _, late = await asyncio.wait({self._loop}, timeout=_STOP_PATIENCE)
        if late:
            self._loop.cancel()
            await asyncio.wait({self._loop})
        self._loop = None
        self._queue.unwatch(self._arrival)
        if self._running:
            await asyncio.wait(self._running)

    async def is_idle(self) -> bool:
        """Nothing runs, and a look into the queue shows no visible message (unless the service is away)."""
        if self._running or self._polling:
            return False
        try:
            waiting = await self._queue.peek()
        except (StorageError, StorageUnavailableError):
            waiting = []
        if waiting and self._arrival is not None:
            self._arrival.set()  # whoever asks waits for them, so there is no use in waiting for the next poll
        return not waiting and not self._running and not self._polling

    async def _run(self) -> None:
        backoff = Backoff(self._options.max_polling_interval)
        count, fault = self._options.batch_size, ""
        while not self._stopping.is_set():
            await self._wait_for_room()
            self._arrival.clear()
            if self._stopping.is_set():
                return
            try:
                found = await self._poll(count)
                count, fault = self._options.batch_size, ""
            except StorageUnavailableError as error:
                self._host.outages.report(self._queue.service.name, error.__cause__ or error)
                # Azurite answers 500 to a batch with one message that it cannot serialise (a control character);
                # asked for one at a time, it still gives out the others.
                found, count = False, 1
            except Exception as error:
                if str(error) != fault:
                    self._host.failed(error)
                found, fault = False, str(error)
            if found:
                backoff.reset()
            else:
                await _wait(self._arrival, backoff.next())

    async def _wait_for_room(self) -> None:
        self._room.clear()
        if len(self._running) > self._options.new_batch_threshold and not self._stopping.is_set():
            await self._room.wait()

    async def _poll(self, count: int) -> bool:
        """Receive a batch and start it. A missing queue, or one being deleted, counts as empty."""
        self._polling = True
        try:
            messages = await self._queue.receive(count, self._options.lease)
        except StorageError as error:
            if error.status not in (404, 409):
                raise
            messages = []
        finally:
            self._polling = False
        self._host.outages.recovered(self._queue.service.name)
        begin = self._hand_back if self._stopping.is_set() else self._process
        for message in messages:
            task = asyncio.create_task(self._guard(begin(message)))
            self._running.add(task)
            task.add_done_callback(self._ended)
        return bool(messages)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        if len(self._running) <= self._options.new_batch_threshold:
            self._room.set()

    async def _guard(self, work: Awaitable[None]) -> None:
        try:
            await work
        except Exception as error:
            self._host.failed(error)

    async def _process(self, message: ReceivedMessage) -> None:
        if message.dequeue_count > self._options.max_dequeue_count:
            await self._move_to_poison(message)
            return
        lease = MessageLease(self._queue, message, self._options.lease)
        try:
            outcome = await self._handle(message)
        finally:
            await lease.release()
        if outcome is Outcome.DONE:
            await self._settle(lambda: self._queue.delete(message))
        elif outcome is Outcome.HOPELESS or message.dequeue_count >= self._options.max_dequeue_count:
            await self._move_to_poison(message)
        elif self._poison_for(message) is not None:
            await self._try_again(message)
        # A failed message without a poison queue stays hidden until its lease ends: that prevents a fast endless loop.

    async def _try_again(self, message: ReceivedMessage) -> None:
        delay = self._options.visibility_timeout
        if await self._settle(lambda: self._queue.update(message, delay)) and not delay:
            self._arrival.set()

    async def _hand_back(self, message: ReceivedMessage) -> None:
        await self._settle(lambda: self._queue.update(message, 0))

    async def _move_to_poison(self, message: ReceivedMessage) -> None:
        """Copy the text, and nothing else, to the poison queue; only then delete the original."""
        poison = self._poison_for(message)
        if poison is None:
            return
        _log.warning(
            "Message has reached MaxDequeueCount of %d. Moving message to queue '%s'.",
            self._options.max_dequeue_count, poison.name,
        )  # fmt: skip
        if await self._settle(lambda: poison.put(message.text, create=True)):
            await self._settle(lambda: self._queue.delete(message))

    async def _settle(self, operation: Callable[[], Awaitable[None]]) -> bool:
        """Do it, however long the service is away, until stop(). False if given up, or the message is not ours now."""
        backoff = Backoff(self._options.max_polling_interval)
        while True:
            try:
                await operation()
                return True
            except StorageUnavailableError as error:
                self._host.outages.report(self._queue.service.name, error.__cause__ or error)
                if self._stopping.is_set():
                    _log.warning("A message of '%s' could not be settled; it will come back.", self._queue.name)
                    return False
            except StorageError as error:
                if error.code not in _NOT_OURS:
                    raise
                _log.debug("A message of '%s' was settled elsewhere: %s", self._queue.name, error)
                return False
            await _wait(self._stopping, backoff.next())


async def _wait(event: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        pass
