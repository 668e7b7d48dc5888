"""The blob trigger's internal queue and its consumer: runs functions for the versions that were found (§5)."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from devhost.invocation import FunctionInvocationError
from devhost.listeners.backoff import Backoff
from devhost.listeners.blob_message import BlobMessage, details_of
from devhost.listeners.blob_registration import POISON_QUEUE, BlobRegistration
from devhost.listeners.queue_consumer import Outcome, QueueConsumer
from devhost.storage.errors import StorageError, StorageUnavailableError
from devhost.storage.queue import check_queue_name
from devhost.storage.queue_options import QueueOptions

if TYPE_CHECKING:
    from devhost.host import Host
    from devhost.listeners.blob_options import BlobOptions
    from devhost.storage.blob_service import Blob
    from devhost.storage.queue import Queue, ReceivedMessage

_log = logging.getLogger("devhost.blobs")

_PATIENCE = 60.0
_LONGEST_PAUSE = 2.0


class BlobConsumer:
    """One for all blob-triggered functions of a host."""

    def __init__(
        self,
        host: Host,
        options: BlobOptions,
        registrations: Mapping[str, BlobRegistration],
        look_again: Callable[[], None],
    ) -> None:
        """`registrations` by full function id; `look_again` is called when a version is gone.

        Raises QueueOptionsError, InvalidQueueNameError and what StorageAccounts.queues raises.
        """
        self._host = host
        self._registrations = registrations
        self._look_again = look_again
        queues = host.storage.queues()
        self.queue: Queue = queues.queue(check_queue_name(f"azure-webjobs-blobtrigger-{host.id}"))
        self.queued = 0
        """How many messages this host has put into the queue."""
        self._poison = queues.queue(POISON_QUEUE)
        settings = options.for_queue(QueueOptions.from_host(host))
        self._consumer = QueueConsumer(host, self.queue, settings, self._handle, self._poison_for)
        self._stopping = asyncio.Event()

    async def start(self) -> None:
        """Begin to take messages."""
        self._stopping.clear()
        await self._consumer.start()

    async def stop(self) -> None:
        """Take no more messages; wait for what runs and its settlement."""
        self._stopping.set()
        await self._consumer.stop()

    async def is_idle(self) -> bool:
        """Nothing runs, and nothing waits in the queue."""
        return await self._consumer.is_idle()

    async def enqueue(self, message: BlobMessage) -> None:
        """Have a function run for a version. Raises what Queue.put raises."""
        await self.queue.put(message.to_text(), create=True)
        # Only now: whoever has looked into the queue before must look again.
        self.queued += 1

    def _poison_for(self, message: ReceivedMessage) -> Queue:
        said = BlobMessage.parse(message.text)
        registration = self._registrations.get(said.function_id) if said else None
        return registration.poison if registration else self._poison

    async def _handle(self, message: ReceivedMessage) -> Outcome:
        said = BlobMessage.parse(message.text)
        if said is None:
            _log.warning("The message %s in '%s' is no message of a blob trigger.", message.id, self.queue.name)
            return Outcome.HOPELESS
        registration = self._registrations.get(said.function_id)
        if registration is None:
            path = f"{said.container}/{said.name}"
            _log.debug("Blob '%s' is dropped: there is no function '%s'.", path, said.function_id)
            return Outcome.DONE
        try:
            blob = await self._read(registration, said)
        except StorageUnavailableError:
            return Outcome.FAILED
        except StorageError as error:  # archived, or no name that storage accepts: it fails as a run fails
            path = f"{said.container}/{said.name}"
            _log.error("Blob '%s' cannot be read for '%s': %s", path, registration.function.name, error)
            return Outcome.FAILED
        if blob is None:
            return Outcome.DONE
        reason = f"New blob detected: {said.container}/{said.name}"
        trigger = registration.trigger_data(said.container, said.name, blob, reason, details_of(message, blob))
        with contextlib.suppress(FunctionInvocationError):  # it is in the log
            await self._host.invoke(registration.function, trigger)
            return Outcome.DONE
        return Outcome.FAILED

    async def _read(self, registration: BlobRegistration, said: BlobMessage) -> Blob | None:
        """The blob, or None if it is gone or another version by now. Waits a minute for a service that is away."""
        service = registration.service
        backoff, give_up = Backoff(_LONGEST_PAUSE), time.monotonic() + _PATIENCE
        while True:
            try:
                etag = None if registration.is_event_grid else said.etag
                return await registration.read(said.container, said.name, etag)
            except StorageUnavailableError as error:
                self._host.outages.report(service.name, error.__cause__ or error)
                if self._stopping.is_set() or time.monotonic() > give_up:
                    raise
            except StorageError as error:
                if error.status not in (404, 412):
                    raise
                _log.debug(
                    "Blob '%s/%s' is dropped for '%s': the version %s is gone (%s).",
                    said.container, said.name, registration.function.name, said.etag, error,
                )  # fmt: skip
                self._look_again()
                return None
            await _wait(self._stopping, backoff.next())


async def _wait(event: asyncio.Event, seconds: float) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()
