"""A lock that one host of an app holds at a time: the lease of a blob, as the real host takes it (§1.6, §6)."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from datetime import timedelta
from typing import TYPE_CHECKING
from urllib.parse import quote
from uuid import uuid4

from devhost.errors import HostJsonError
from devhost.storage.errors import StorageError, StorageUnavailableError
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

_waiting: dict[str, set[SingletonLock]] = {}
"""Who waits in this process for which lock, by the blob's address: tests run several hosts in one process."""


class SingletonLock:
    """One host's hold on the lock `lock_id`, e.g. `Host.Functions.nightly.Listener`. Lives in real time, not virtual.

    Waits for a storage that is away, which it says once. Two objects exclude each other, in one process as well.
    """

    def __init__(self, host: Host, lock_id: str) -> None:
        """Raises what StorageAccounts.account and lock_period raise."""
        self.id = lock_id
        self.lost = asyncio.Event()
        """Set when the hold ended by itself: storage was away for too long, or somebody broke the lease."""
        self._period = lock_period(host.json).total_seconds()
        self._outages = host.outages
        self._service = host.storage.blob_service()
        self._name = f"locks/{host.id}/{lock_id}"
        # One lease id for good: when the answer to an attempt is lost, the next one finds the lock to be ours.
        self._lease_id = str(uuid4())
        self._held_until = 0.0
        self._renewal: asyncio.Task[None] | None = None
        self._freed = asyncio.Event()
        self._trying = False
        self._attempt: asyncio.Task[bool] | None = None

    @property
    def _url(self) -> str:
        return self._service.url(HOSTS_CONTAINER, self._name)

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
        waiters = _waiting.setdefault(self._url, set())
        waiters.add(self)
        try:
            while not await self.try_acquire():
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_TRY_AGAIN):
                        await self._freed.wait()
        finally:
            waiters.discard(self)

    async def try_acquire(self) -> bool:
        """One attempt; False if another host holds the lock or storage is away. Raises StorageError for a refusal."""
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
            await self._lease("release")
            _log.debug("Singleton lock released (%s).", self.id)
        except (StorageError, StorageUnavailableError) as error:
            _log.debug("The singleton lock %s could not be released and will run out: %s", self.id, error)
            return
        for waiter in _waiting.get(self._url, ()):
            waiter._trying = True
            waiter._freed.set()

    async def _try(self) -> bool:
        began = time.monotonic()
        try:
            taken = await self._take()
            self._outages.recovered(self._service.name)
        except StorageUnavailableError as error:
            self._outages.report(self._service.name, error.__cause__ or error)
            return False
        finally:
            self._trying = self._freed.is_set()  # then acquire() tries again at once
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
        except StorageError as error:
            if error.status != 404:
                raise
        await self._create()
        return await self._try_lease()

    async def _try_lease(self) -> bool:
        try:
            await self._lease("acquire", **{"x-ms-lease-duration": str(round(self._period))})
            return True
        except StorageError as error:
            if error.status not in _TAKEN:
                raise
            return False

    async def _lease(self, action: str, **headers: str) -> None:
        lease = {"x-ms-lease-action": action, "x-ms-lease-id": self._lease_id, "x-ms-proposed-lease-id": self._lease_id}
        path = f"{HOSTS_CONTAINER}/{quote(self._name)}"
        await self._service.request("PUT", path, "comp=lease", headers={**lease, **headers})

    async def _create(self) -> None:
        await self._service.create_container(HOSTS_CONTAINER)
        with contextlib.suppress(StorageError):  # another host was faster, and may hold it already
            await self._service.write(HOSTS_CONTAINER, self._name, b"", {"If-None-Match": "*"})

    async def _renew(self) -> None:
        pause = self._period / 2
        while True:
            await asyncio.sleep(pause)
            began = time.monotonic()
            try:
                await self._lease("renew")
                self._outages.recovered(self._service.name)
                self._held_until, pause = began + self._period, self._period / 2
            except StorageUnavailableError as error:
                self._outages.report(self._service.name, error.__cause__ or error)
                pause = _RENEW_AGAIN
                if not self.is_held:
                    break
            except StorageError:
                break
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
