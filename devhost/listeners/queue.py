"""The storage queue trigger: takes messages, runs the function for each, and settles them (functions-host.md §4)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from devhost.invocation import FunctionInvocationError
from devhost.listeners.backoff import Backoff
from devhost.listeners.message_lease import MessageLease
from devhost.listeners.queue_message import BadTextError, UndecodableError, decode, trigger_data
from devhost.storage.errors import StorageError, StorageUnavailableError
from devhost.storage.queue import Queue, ReceivedMessage, check_queue_name, is_valid_queue_name
from devhost.storage.queue_options import QueueOptions

if TYPE_CHECKING:
    from devhost.functions import Function
    from devhost.host import Host

_log = logging.getLogger("devhost.queues")

POISON_SUFFIX = "-poison"
_NOT_OURS = {"PopReceiptMismatch", "MessageNotFound", "QueueNotFound", "QueueBeingDeleted", "QueueDisabled"}
"""Answers to a settlement that mean: it is gone, or another host took it after our lease ran out."""
_STOP_PATIENCE = 5.0
"""Seconds that stop() gives to a receive that is under way; its messages would be hidden until their lease ends."""


class QueueListener:
    """Watches one queue for one function. Runs up to batchSize + newBatchThreshold messages at once."""

    def __init__(self, host: Host, function: Function) -> None:
        """Raises what StorageAccounts.account raises, InvalidQueueNameError, QueueOptionsError."""
        properties = function.trigger.properties
        service = host.storage.queues(properties.get("connection"))
        self._host = host
        self._function = function
        self._options = QueueOptions.from_host(host)
        self._queue = service.queue(check_queue_name(properties["queueName"]))
        self._poison = _poison_queue(self._queue)
        self._is_base64 = self._options.message_encoding == "base64"
        self._is_binary = str(properties.get("dataType", "")).upper() == "BINARY"
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
        self._loop = asyncio.create_task(self._run(), name=f"queue listener {self._queue.name}")

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
        try:
            body = decode(message.text, self._is_base64)
        except UndecodableError:
            _log.warning("Message decoding has failed! Check MessageEncoding settings. MessageId=%s.", message.id)
            await self._move_to_poison(message)
            return
        if message.dequeue_count > self._options.max_dequeue_count:
            await self._move_to_poison(message)
            return
        lease = MessageLease(self._queue, message, self._options.lease)
        try:
            trigger = trigger_data(self._queue.name, message, body, self._is_binary)
            await self._host.invoke(self._function, trigger)
            succeeded = True
        except BadTextError as error:
            _log.error("Function '%s' cannot be given message %s: %s", self._function.name, message.id, error)
            succeeded = False
        except FunctionInvocationError:
            succeeded = False
        finally:
            await lease.release()
        if succeeded:
            await self._settle(lambda: self._queue.delete(message))
        elif self._poison is not None:
            await self._fail(message)
        # A failed message without a poison queue stays hidden until its lease ends: that prevents a fast endless loop.

    async def _fail(self, message: ReceivedMessage) -> None:
        if message.dequeue_count >= self._options.max_dequeue_count:
            await self._move_to_poison(message)
        else:
            await self._settle(lambda: self._queue.update(message, self._options.visibility_timeout))

    async def _hand_back(self, message: ReceivedMessage) -> None:
        await self._settle(lambda: self._queue.update(message, 0))

    async def _move_to_poison(self, message: ReceivedMessage) -> None:
        """Copy the text, and nothing else, to the poison queue; only then delete the original."""
        if self._poison is None:
            return
        poison = self._poison
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


def _poison_queue(queue: Queue) -> Queue | None:
    """Where failed messages end; None for a poison queue itself, and where the name would be too long."""
    name = queue.name + POISON_SUFFIX
    if queue.name.endswith(POISON_SUFFIX) or not is_valid_queue_name(name):
        return None
    return queue.service.queue(name)
