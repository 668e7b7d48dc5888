"""All blob triggers of one host: they share the scans of containers, which fill one internal queue (§5)."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import TYPE_CHECKING

from devhost.listeners.blob_backlog import BlobBacklog
from devhost.listeners.blob_consumer import BlobConsumer
from devhost.listeners.blob_message import BlobMessage
from devhost.listeners.blob_options import BlobOptions
from devhost.listeners.blob_receipts import BlobReceipts, Handed
from devhost.listeners.blob_scan import ContainerScan, Watermark
from devhost.singleton import SingletonLock
from devhost.storage.errors import StorageError, StorageUnavailableError

if TYPE_CHECKING:
    from devhost.host import Host
    from devhost.listeners.blob_registration import BlobRegistration
    from devhost.storage.blob_service import BlobService, BlobVersion

_log = logging.getLogger("devhost.blobs")

LOCK = "WebJobs.Internal.Blobs.Listener"
_STANDBY = 3
"""A host without the lock scans this many times less often: receipts keep that right, and blobs are not left alone
for the minute that the lock of a killed host lasts."""
_LARGE = 2500
"""Above so many blobs a scan is worth a pause: they are scanned less often, in proportion to their number."""
_STOP_PATIENCE = 5.0


class BlobTriggers:
    """Scans containers and hands over what is new, once. Started by the first listener, ended by any."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._registrations: dict[str, BlobRegistration] = {}
        self._scans: dict[tuple[str, str], ContainerScan] = {}
        self._receipts: dict[str, BlobReceipts] = {}
        self._consumer: BlobConsumer | None = None
        self._backlog: BlobBacklog
        self._options: BlobOptions
        self._faults: dict[tuple[str, str], str] = {}
        """What failed in the last sweep of a container, so that it is told once."""
        self._lock: SingletonLock | None = None
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
        self._options = BlobOptions.from_host(self._host)
        self._consumer = BlobConsumer(self._host, self._options, self._registrations, self._wake.set)
        self._backlog = BlobBacklog(self._consumer.queue, self._stopping)

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
        queued = self._consumer.queued
        return await self._consumer.is_idle() and not await self._sweep() and queued == self._consumer.queued

    # Finding

    def written(self, endpoint: str, container: str) -> None:
        """This process wrote a blob: look at once if its container is watched."""
        if (endpoint, container) in self._scans:
            self._wake.set()

    async def enqueue(self, message: BlobMessage) -> None:
        """Have a function run for a version. Raises what Queue.put raises."""
        await self._consumer.enqueue(message)
        self._backlog.added()

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
            if isinstance(error.__cause__, StorageError):  # it answers, but not about this container
                self._say_unreadable(key, error.__cause__)
            else:
                self._host.outages.report(name, error.__cause__ or error)
            return False
        except Exception as error:
            if self._faults.get(key) != str(error):
                self._faults[key] = str(error)
                self._host.failed(error)
            return False
        if self._faults.pop(key, None) is not None:
            _log.warning("The container '%s' is scanned again.", key[1])
        self._host.outages.recovered(name)
        return found

    def _say_unreadable(self, key: tuple[str, str], answer: StorageError) -> None:
        if self._faults.get(key) != str(answer):
            self._faults[key] = str(answer)
            _log.error(
                "The container '%s' cannot be scanned (%s): no blob in it is found until it can. If this stays so with "
                "Azurite, a blob in it has a control character in its name: delete that blob, or the container.",
                key[1], str(answer).rstrip(": "),
            )  # fmt: skip

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
            if not await self._backlog.wait_for_room():
                return False
            handed = await receipts.hand_over(version, registration.id, lambda: self.enqueue(message))
        except StorageUnavailableError as error:
            self._host.outages.report(self._consumer.queue.service.name, error.__cause__ or error)
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


async def _wait(event: asyncio.Event, seconds: float) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()
