"""The scan of one container: finds versions of blobs that nobody has seen yet, and remembers how far it came."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from datetime import MAXYEAR, MINYEAR, UTC, datetime, timedelta

from devhost.singleton import HOSTS_CONTAINER
from devhost.storage.blob_service import BlobService, BlobVersion
from devhost.storage.errors import StorageError

_log = logging.getLogger("devhost.blobs")

_AT_ONCE = 4
"""Versions of one container that are examined at the same time. As many may run twice if the host is killed: queued,
but with a receipt that does not say so yet. More are no quicker with Azurite."""
_STAGE = 500
"""After so many versions it notes how far it came."""
_SLACK = timedelta(minutes=1)
"""How much older than the watermark a blob may be that is looked at after a start: a blob is dated by the begin of its
upload (Azurite), so one that took longer appears behind newer ones."""
_JUST_BEFORE = timedelta(milliseconds=1)


class ContainerScan:
    """Watches one container for all functions of a host that are triggered by it.

    While it runs it knows each blob's version, so that a blob is new whatever its date. Only its first sweep goes by
    the watermark that a scan before it left; without one, all blobs are new (functions-host.md §5).
    """

    def __init__(
        self,
        service: BlobService,
        container: str,
        watermark: Watermark,
        examine: Callable[[BlobVersion], Awaitable[bool]],
    ) -> None:
        """`examine` is called for each new version; False: look at it again in the next sweep."""
        self._service = service
        self._container = container
        self._watermark = watermark
        self._examine = examine
        self._known: dict[str, str] | None = None
        """The ETag of each blob that need not be looked at again; None before the first sweep."""
        self._slots = asyncio.Semaphore(_AT_ONCE)
        self._one_at_a_time = asyncio.Lock()
        self._is_missing = False

    @property
    def size(self) -> int:
        """How many blobs it knows in the container."""
        return len(self._known or ())

    async def sweep(self) -> bool:
        """Look through the container once: whether something was new. Raises what StorageService.request raises."""
        async with self._one_at_a_time:
            versions = await self._list()
            # The oldest first: how far it came can be kept on the way, and a host that is killed need not begin again.
            new = sorted(await self._unknown(versions), key=lambda version: version.modified)
            left: dict[str, BlobVersion] = {}
            faults: list[BaseException] = []
            for start in range(0, len(new), _STAGE):
                stage = new[start : start + _STAGE]
                results = await asyncio.gather(*map(self._look_at, stage), return_exceptions=True)
                faults += [result for result in results if isinstance(result, BaseException)]
                left |= {version.name: version for version, result in zip(stage, results, strict=True)
                         if result is not True}  # fmt: skip
                await self._note(left, stage)
            if new:
                await self._note(left, versions)
            self._known = {version.name: version.etag for version in versions if version.name not in left}
            for fault in faults:
                raise fault
            return bool(new)

    async def _note(self, left: Mapping[str, BlobVersion], done: Iterable[BlobVersion]) -> None:
        # What is left must be found again, by whichever host looks next.
        moments = [version.modified for version in left.values() or done]
        await self._watermark.save(min(moments) if left else max(moments))

    async def _list(self) -> list[BlobVersion]:
        try:
            versions = [version async for version in self._service.versions(self._container)]
        except StorageError as error:
            if error.status not in (404, 409):
                raise
            if not self._is_missing:
                _log.debug("The container '%s' does not exist; it is waited for.", self._container)
            self._is_missing = True
            return []
        self._is_missing = False
        return versions

    async def _unknown(self, versions: list[BlobVersion]) -> list[BlobVersion]:
        known = self._known
        if known is not None:
            return [version for version in versions if known.get(version.name) != version.etag]
        since = await self._watermark.load()
        if since is None:
            return versions
        oldest = since - _SLACK
        for version in versions:
            if version.modified < oldest:
                _log.debug("Blob '%s' is skipped: it is older than the last scan (%s).", version.path, since)
        return [version for version in versions if version.modified >= oldest]

    async def _look_at(self, version: BlobVersion) -> bool:
        async with self._slots:
            return await self._examine(version)


class Watermark:
    """How new the newest blob was that a scan of a container has dealt with, kept where the real host keeps it."""

    def __init__(self, service: BlobService, host_id: str, account: str, container: str) -> None:
        """`service` is that of the host's own account; `account` is the name of the container's."""
        self._service = service
        self._name = f"blobscaninfo/{host_id}/{account}/{container}/scanInfo"
        self._saved: datetime | None = None

    async def load(self) -> datetime | None:
        """The moment, or None if there is none that can be read."""
        try:
            blob = await self._service.read(HOSTS_CONTAINER, self._name)
            moment = datetime.fromisoformat(json.loads(blob.content)["LatestScan"])
            if not MINYEAR < moment.year < MAXYEAR:
                raise ValueError(f"{moment} is no moment of a scan")
            self._saved = moment.astimezone(UTC)
        except StorageError as error:
            if error.status != 404:
                raise
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            _log.warning("%s cannot be read (%s): all blobs of its container are looked at.", self._name, error)
        return self._saved

    async def save(self, newest: datetime) -> None:
        """Keep a moment, unless a later one is kept already."""
        moment = newest.astimezone(UTC) - _JUST_BEFORE
        if self._saved is not None and moment <= self._saved:
            return
        content = json.dumps({"LatestScan": f"{moment:%Y-%m-%dT%H:%M:%S.%f}Z"}).encode()
        try:
            await self._service.write(HOSTS_CONTAINER, self._name, content)
        except StorageError as error:
            if error.code != "ContainerNotFound":
                raise
            await self._service.create_container(HOSTS_CONTAINER)
            await self._service.write(HOSTS_CONTAINER, self._name, content)
        self._saved = moment
