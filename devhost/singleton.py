"""A lock that one host of an app holds at a time: the lease of a blob, as the real host takes it (§1.6, §6)."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from datetime import timedelta
from typing import TYPE_CHECKING

from azure.core.exceptions import AzureError, HttpResponseError, ResourceNotFoundError

from devhost.errors import HostJsonError
from devhost.storage.errors import is_unavailable
from devhost.timespan import parse_timespan

if TYPE_CHECKING:
    from devhost.host import Host
    from devhost.host_json import HostJson

_log = logging.getLogger("devhost.singleton")

HOSTS_CONTAINER = "azure-webjobs-hosts"
"""The container in which hosts keep their own things: locks, the timers' status, receipts of blobs."""

_PERIODS = timedelta(seconds=15), timedelta(seconds=60)
_TRY_AGAIN = 5.0
"""Seconds between attempts while another host holds the lock. The real host waits 60; here somebody is watching."""
_RENEW_AGAIN = 1.0
_TAKEN = (409, 412)
_WITHOUT_RETRIES = {"retry_total": 0, "connection_timeout": 5, "read_timeout": 10}

_waiting: dict[str, set[SingletonLock]] = {}
"""Who waits in this process for which lock, by the blob's address: tests run several hosts in one process."""


class SingletonLock:
    """One host's hold on the lock `lock_id`, e.g. `Host.Functions.nightly.Listener`. Lives in real time, not virtual.

    Waits for a storage that is away, which it says once. Two objects exclude each other, in one process as well.
    """

    def __init__(self, host: Host, lock_id: str) -> None:
        """Raises what StorageAccounts.blobs and lock_period raise."""
        from azure.storage.blob.aio import BlobLeaseClient

        service = host.storage.blobs()
        self.id = lock_id
        self.lost = asyncio.Event()
        """Set when the hold ended by itself: storage was away for too long, or somebody broke the lease."""
        self._period = lock_period(host.json).total_seconds()
        self._outages = host.outages
        self.service_name = host.storage.blob_service().name
        self._container = service.get_container_client(HOSTS_CONTAINER)
        self._blob = self._container.get_blob_client(f"locks/{host.id}/{lock_id}")
        # One lease id for good: when the answer to an attempt is lost, the next one finds the lock to be ours.
        self._lease = BlobLeaseClient(self._blob)
        self._held_until = 0.0
        self._renewal: asyncio.Task[None] | None = None
        self._freed = asyncio.Event()
        self._trying = False
        self._attempt: asyncio.Task[bool] | None = None

    @property
    def is_held(self) -> bool:
        """Whether the lease is this host's, at this moment of real time."""
        return time.monotonic() < self._held_until

    @property
    def is_trying(self) -> bool:
        """Whether an attempt is under way or due at once, so that is_held may change any moment."""
        return self._trying

    async def acquire(self) -> None:
        """Return once the lock is held; it is renewed from then on until release(), or until it is `lost`."""
        waiters = _waiting.setdefault(self._blob.url, set())
        waiters.add(self)
        try:
            while not await self.try_acquire():
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_TRY_AGAIN):
                        await self._freed.wait()
        finally:
            waiters.discard(self)

    async def try_acquire(self) -> bool:
        """One attempt; False if another host holds the lock or storage is away. Raises AzureError for a refusal."""
        self._trying = True
        self._freed.clear()
        self._attempt = asyncio.create_task(self._try(), name=f"attempt at {self.id}")
        # Cut short it might leave a lease that nobody knows of; release() waits for it instead.
        return await asyncio.shield(self._attempt)

    async def release(self) -> None:
        """Give the lock up, if it is held, so that another host can have it at once. Not while acquire() is awaited."""
        if self._attempt is not None:
            await asyncio.wait({self._attempt})
        self._stop_renewing()
        if not self.is_held:
            return
        self._held_until = 0.0
        try:
            await self._lease.release(**_WITHOUT_RETRIES)
            _log.debug("Singleton lock released (%s).", self.id)
        except AzureError as error:
            _log.debug("The singleton lock %s could not be released and will run out: %s", self.id, error)
            return
        for waiter in _waiting.get(self._blob.url, ()):
            waiter._trying = True
            waiter._freed.set()

    async def _try(self) -> bool:
        began = time.monotonic()
        try:
            taken = await self._take()
            self._outages.recovered(self.service_name)
        except AzureError as error:
            if not is_unavailable(error):
                raise
            self._outages.report(self.service_name, error)
            return False
        finally:
            self._trying = False
        if not taken:
            _log.debug("Unable to acquire the singleton lock (%s): another host holds it.", self.id)
            return False
        _log.debug("Singleton lock acquired (%s).", self.id)
        self._held_until = began + self._period
        self.lost.clear()
        self._stop_renewing()
        self._renewal = asyncio.create_task(self._renew(), name=f"renewal of {self.id}")
        return True

    async def _take(self) -> bool:
        try:
            return await self._try_lease()
        except ResourceNotFoundError:
            await self._create()
            return await self._try_lease()

    async def _try_lease(self) -> bool:
        try:
            await self._lease.acquire(lease_duration=round(self._period), **_WITHOUT_RETRIES)
            return True
        except HttpResponseError as error:
            if error.status_code not in _TAKEN:
                raise
            return False

    async def _create(self) -> None:
        for make in (self._container.create_container, lambda **options: self._blob.upload_blob(b"", **options)):
            try:
                await make(**_WITHOUT_RETRIES)
            except HttpResponseError as error:  # another host was faster
                if error.status_code not in _TAKEN:
                    raise

    async def _renew(self) -> None:
        pause = self._period / 2
        while True:
            await asyncio.sleep(pause)
            began = time.monotonic()
            try:
                await self._lease.renew(**_WITHOUT_RETRIES)
            except AzureError as error:
                if is_unavailable(error):
                    self._outages.report(self.service_name, error)
                    if self.is_held:
                        pause = _RENEW_AGAIN
                        continue
                break
            self._outages.recovered(self.service_name)
            self._held_until, pause = began + self._period, self._period / 2
        _log.warning("The singleton lock %s was lost; it is asked for again.", self.id)
        self._held_until, self._renewal = 0.0, None
        self.lost.set()

    def _stop_renewing(self) -> None:
        if self._renewal is not None:
            self._renewal.cancel()
            self._renewal = None


def lock_period(host_json: HostJson) -> timedelta:
    """How long a lease lasts: singleton.listenerLockPeriod of host.json, by default 60 s. Raises HostJsonError."""
    section = host_json.document.get("singleton") or {}
    text = str(section.get("listenerLockPeriod", "00:01:00")) if isinstance(section, dict) else str(section)
    try:
        period = parse_timespan(text)
    except ValueError:
        period = timedelta()
    if not _PERIODS[0] <= period <= _PERIODS[1]:
        raise HostJsonError(
            f"host.json: singleton.listenerLockPeriod is '{text}', but must be from 00:00:15 to 00:01:00.",
            "Correct it and start again.",
        )
    return period
