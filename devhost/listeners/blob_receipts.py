"""Receipts: blobs by which all hosts of an app know which version of a blob was handed to which function."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from datetime import timedelta
from enum import Enum, auto

from devhost.singleton import HOSTS_CONTAINER
from devhost.storage.blob_service import BlobService, BlobVersion
from devhost.storage.errors import StorageError

_log = logging.getLogger("devhost.blobs")

_INCOMPLETE = {"Incomplete": "Incomplete"}
_CLAIM = timedelta(seconds=30)
"""For how long an incomplete receipt keeps other hosts away."""
_NOT_OURS = (404, 409, 412)


class Handed(Enum):
    """How handing over a version went."""

    NOW = auto()
    BEFORE = auto()
    """The receipt is complete: it never runs again."""
    ELSEWHERE = auto()
    """Another host is at it, and may yet fail."""


class BlobReceipts:
    """The receipts of one account (functions-host.md §5), each three requests: create, hand over, complete.

    The real host guards an incomplete receipt by a lease of 30 s. Here its age does the same, with two requests less:
    who writes it owns it for 30 s, and every later step is bound to the ETag of that writing.
    """

    def __init__(self, service: BlobService, host_id: str) -> None:
        self._service = service
        self._host_id = host_id
        self._open: dict[str, tuple[str, bool]] = {}
        """Receipts that this host wrote and could not complete, for storage went away, for example: the ETag, and
        whether the version was handed over already."""

    async def hand_over(self, version: BlobVersion, function_id: str, enqueue: Callable[[], Awaitable[None]]) -> Handed:
        """Call `enqueue` unless some host did for this version and function. Raises what StorageService.request raises.

        If `enqueue` raises, this host may try again at once, any other after 30 s.
        """
        name = self.name(version, function_id)
        etag, is_handed = self._open.pop(name, (None, False))
        if not is_handed:
            etag = await self._claim(name, {"If-Match": etag} if etag else {"If-None-Match": "*"})
        if etag is None:
            found = await self._find(name)
            if isinstance(found, Handed):
                return found
            etag = await self._claim(name, {"If-Match": found})
        if etag is None:
            return Handed.ELSEWHERE
        try:
            if not is_handed:
                await enqueue()
                is_handed = True
            await self._complete(name, etag)
        except BaseException:
            self._open[name] = etag, is_handed
            raise
        return Handed.NOW

    def name(self, version: BlobVersion, function_id: str) -> str:
        """The receipt's name in its container; the ETag keeps its quotes."""
        return f"blobreceipts/{self._host_id}/{function_id}/{version.etag}/{version.path}"

    async def _claim(self, name: str, conditions: dict[str, str]) -> str | None:
        """Write an incomplete receipt: its ETag, or None if the conditions do not hold."""
        try:
            return await self._service.write(HOSTS_CONTAINER, name, b"", conditions, **_INCOMPLETE)
        except StorageError as error:
            if error.code == "ContainerNotFound":
                await self._service.create_container(HOSTS_CONTAINER)
                return await self._claim(name, conditions)
            if error.status not in _NOT_OURS:
                raise
            return None

    async def _find(self, name: str) -> Handed | str:
        """Of a receipt that is there: what it says, or its ETag if whoever wrote it has given up."""
        try:
            receipt = await self._service.head(HOSTS_CONTAINER, name)
        except StorageError as error:
            if error.status != 404:
                raise
            return Handed.ELSEWHERE
        if not receipt.metadata:
            return Handed.BEFORE
        return Handed.ELSEWHERE if receipt.answered - receipt.modified < _CLAIM else receipt.etag

    async def _complete(self, name: str, etag: str) -> None:
        try:
            await self._service.clear_metadata(HOSTS_CONTAINER, name, etag)
        except StorageError as error:
            if error.status not in _NOT_OURS:
                raise
            _log.debug("The receipt %s was taken over while its blob was handed over: it may run twice.", name)
