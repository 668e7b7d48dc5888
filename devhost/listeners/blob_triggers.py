"""All blob triggers of one host: they share the scans of containers, one internal queue and its consumer (§5)."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from typing import TYPE_CHECKING

from devhost.invocation import FunctionInvocationError
from devhost.listeners.backoff import Backoff
from devhost.listeners.blob_message import BlobMessage, details_of
from devhost.listeners.blob_options import BlobOptions
from devhost.listeners.blob_receipts import BlobReceipts, Handed
from devhost.listeners.blob_registration import POISON_QUEUE, BlobRegistration
from devhost.listeners.blob_scan import ContainerScan, Watermark
from devhost.listeners.queue_consumer import Outcome, QueueConsumer
from devhost.singleton import SingletonLock
from devhost.storage.errors import StorageError, StorageUnavailableError
from devhost.storage.queue import check_queue_name
from devhost.storage.queue_options import QueueOptions

if TYPE_CHECKING:
    from devhost.host import Host
    from devhost.storage.blob_service import Blob, BlobService, BlobVersion
    from devhost.storage.queue import Queue, ReceivedMessage

_log = logging.getLogger("devhost.blobs")

LOCK = "WebJobs.Internal.Blobs.Listener"
_STANDBY = 3
"""A host without the lock scans this many times less often: receipts keep that right, and blobs are not left alone
for the minute that the lock of a killed host lasts."""
_LARGE = 2500
"""Above so many blobs a scan is worth a pause: they are scanned less often, in proportion to their number."""
_PATIENCE = 60.0
_STOP_PATIENCE = 5.0


class BlobTriggers:
    """Scans containers, keeps receipts, consumes the internal queue. Started by the first listener, ended by any."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._registrations: dict[str, BlobRegistration] = {}
        self._scans: dict[tuple[str, str], ContainerScan] = {}
        self._receipts: dict[str, BlobReceipts] = {}
        self._consumer: QueueConsumer | None = None
        self._options: BlobOptions
        self._queue: Queue
        self._faults: dict[tuple[str, str], str] = {}
        """What failed in the last sweep of a container, so that it is told once."""
        self._lock: SingletonLock | None = None
        self._queued = 0
        """How many messages this host has put into the queue."""
        self._is_running = False
        self._tasks: list[asyncio.Task[None]] = []
        self._stopping = asyncio.Event()
        self._wake = asyncio.Event()
        self._ending = asyncio.Lock()

    # Functions

    def add(self, registration: BlobRegistration) -> None:
        """Watch for one function more. Raises what options' from_host and StorageAccounts.queues raise."""
        if self._consumer is None:
            self._prepare()
        self._registrations[registration.id] = registration
        if not registration.is_event_grid:
            self._watch(registration.service, registration.path.container)

    @property
    def is_empty(self) -> bool:
        """Whether the host has no blob trigger."""
        return not self._registrations

    @property
    def is_scanner(self) -> bool:
        """Whether this host is the one that scans, of all that share its id."""
        return self._lock is not None and self._lock.is_held

    def get(self, function_id: str) -> BlobRegistration | None:
        """The function of that full id."""
        return self._registrations.get(function_id)

    def _prepare(self) -> None:
        host = self._host
        self._options = BlobOptions.from_host(host)
        queues = host.storage.queues()
        self._queue = queues.queue(check_queue_name(f"azure-webjobs-blobtrigger-{host.id}"))
        poison = queues.queue(POISON_QUEUE)

        def poison_for(message: ReceivedMessage) -> Queue:
            said = BlobMessage.parse(message.text)
            registration = self._registrations.get(said.function_id) if said else None
            return registration.poison if registration else poison

        options = self._options.for_queue(QueueOptions.from_host(host))
        self._consumer = QueueConsumer(host, self._queue, options, self._handle, poison_for)

    def _watch(self, service: BlobService, container: str) -> None:
        if (service.endpoint, container) in self._scans:
            return
        host = self._host
        self._receipts.setdefault(service.endpoint, BlobReceipts(service, host.id))
        watermark = Watermark(host.storage.blob_service(), host.id, service.account.name, container)
        self._scans[service.endpoint, container] = ContainerScan(
            service, container, watermark, lambda version: self._examine(service, version)
        )

    # Life

    async def start(self) -> None:
        """Begin to scan and to consume. Raises HostJsonError. Does nothing if it has begun."""
        if self._is_running:
            return
        self._is_running = True
        self._stopping.clear()
        await self._consumer.start()
        if self._scans:
            self._lock = SingletonLock(self._host, LOCK)
            self._tasks = [asyncio.create_task(self._scan()), asyncio.create_task(self._hold(self._lock))]

    async def stop(self) -> None:
        """Look for no more blobs, take no more messages; wait for what runs and its settlement."""
        async with self._ending:
            self._is_running = False
            self._stopping.set()
            self._wake.set()
            tasks, self._tasks = self._tasks, []
            for task in tasks[1:]:
                task.cancel()
            if tasks:
                _, late = await asyncio.wait(tasks, timeout=_STOP_PATIENCE)
                for task in late:
                    task.cancel()
            await self._consumer.stop()
            if self._lock is not None:
                await self._lock.release()
                self._lock = None

    async def is_idle(self) -> bool:
        """Nothing runs, nothing waits in the internal queue, and a scan finds nothing new."""
        # The queue first: to look into it is quicker, and it is busy more often.
        queued = self._queued
        return await self._consumer.is_idle() and not await self._sweep() and queued == self._queued

    # Finding

    def written(self, endpoint: str, container: str) -> None:
        """This process wrote a blob: look at once if its container is watched."""
        if (endpoint, container) in self._scans:
            self._wake.set()

    async def enqueue(self, message: BlobMessage) -> None:
        """Have a function run for a version. Raises what Queue.put raises."""
        self._queued += 1
        await self._queue.put(message.to_text(), create=True)

    async def _hold(self, lock: SingletonLock) -> None:
        try:
            while True:
                await lock.acquire()
                self._wake.set()
                await lock.lost.wait()
        except Exception as error:
            self._host.failed(error)

    async def _scan(self) -> None:
        while not self._stopping.is_set():
            self._wake.clear()
            await self._sweep()
            blobs = sum(scan.size for scan in self._scans.values())
            pace = max(1.0, blobs / _LARGE) * (1 if self.is_scanner else _STANDBY)
            await _wait(self._wake, self._options.scan_interval * pace)

    async def _sweep(self) -> bool:
        """Scan every container: whether something was new. A service that is away is said once and waited for."""
        return any(await asyncio.gather(*(self._sweep_one(key) for key in self._scans)))

    async def _sweep_one(self, key: tuple[str, str]) -> bool:
        name = f"Blob storage at {key[0]}"
        try:
            found = await self._scans[key].sweep()
        except StorageUnavailableError as error:
            self._host.outages.report(name, error.__cause__ or error)
            return False
        except Exception as error:
            if self._faults.get(key) != str(error):
                self._faults[key] = str(error)
                self._host.failed(error)
            return False
        self._faults.pop(key, None)
        self._host.outages.recovered(name)
        return found

    async def _examine(self, service: BlobService, version: BlobVersion) -> bool:
        """Hand a version to every function that wants it. False: somebody must look again."""
        settled = True
        for registration in self._registrations.values():
            if registration.is_event_grid or registration.service is not service:
                continue
            name = registration.function.name
            if registration.path.match(version.container, version.name) is None:
                if version.container == registration.path.container:
                    _log.debug(
                        "Blob '%s' is skipped for '%s': it does not match the path '%s'.",
                        version.path, name, registration.path.text,
                    )  # fmt: skip
                continue
            settled &= await self._hand_over(registration, version)
        return settled

    async def _hand_over(self, registration: BlobRegistration, version: BlobVersion) -> bool:
        name, receipts = registration.function.name, self._receipts[registration.service.endpoint]
        message = BlobMessage.of(version, registration.id)
        try:
            handed = await receipts.hand_over(version, registration.id, lambda: self.enqueue(message))
        except StorageUnavailableError as error:
            self._host.outages.report(self._queue.service.name, error.__cause__ or error)
            return False
        except StorageError as error:
            if error.status != 400:
                raise
            _log.warning("Blob '%s' is skipped for '%s': it can have no receipt (%s).", version.path, name, error)
            return True
        match handed:
            case Handed.NOW:
                _log.debug("Blob '%s' (%s) is queued for '%s'.", version.path, version.etag, name)
            case Handed.BEFORE:
                _log.debug("Blob '%s' is skipped for '%s': %s has its receipt.", version.path, name, version.etag)
            case Handed.ELSEWHERE:
                _log.debug("Blob '%s' is left alone for now: another host queues it for '%s'.", version.path, name)
        return handed is not Handed.ELSEWHERE

    # Running

    async def _handle(self, message: ReceivedMessage) -> Outcome:
        said = BlobMessage.parse(message.text)
        if said is None:
            _log.warning("The message %s in '%s' is no message of a blob trigger.", message.id, self._queue.name)
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
        backoff, give_up = Backoff(self._options.scan_interval), time.monotonic() + _PATIENCE
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
                self._wake.set()
                return None
            await _wait(self._stopping, backoff.next())


async def _wait(event: asyncio.Event, seconds: float) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()
