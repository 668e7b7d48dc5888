"""A blob service in memory, as far as receipts and scans use one, with conditions and a clock that tests move."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from devhost.storage.blob_service import Blob, BlobVersion
from devhost.storage.errors import StorageError

START = datetime(2026, 11, 22, 10, tzinfo=UTC)


@dataclass
class Stored:
    content: bytes
    etag: str
    modified: datetime
    metadata: dict[str, str] = field(default_factory=dict)


class FakeBlobs:
    """Set `fault` to have every request fail with it; `requests` counts them by verb."""

    def __init__(self) -> None:
        self.now = START
        self.containers: dict[str, dict[str, Stored]] = {}
        self.requests: list[str] = []
        self.fault: Exception | None = None
        self._numbers = itertools.count(1)

    def put(self, container: str, name: str, content: bytes = b"", age: timedelta = timedelta()) -> BlobVersion:
        """As an uploader does."""
        stored = Stored(content, f'"{next(self._numbers)}"', self.now - age)
        self.containers.setdefault(container, {})[name] = stored
        return BlobVersion(container, name, stored.etag, stored.modified)

    async def versions(self, container: str) -> AsyncIterator[BlobVersion]:
        self._request("list")
        for name, stored in self._container(container).items():
            yield BlobVersion(container, name, stored.etag, stored.modified)

    async def read(self, container: str, name: str, etag: str | None = None) -> Blob:
        self._request("read")
        return self._blob(container, name)

    async def head(self, container: str, name: str) -> Blob:
        self._request("head")
        return self._blob(container, name)

    async def write(
        self, container: str, name: str, content: bytes, conditions: Mapping[str, str] | None = None, **metadata: str
    ) -> str:
        self._request("write")
        found = self._container(container).get(name)
        conditions = conditions or {}
        if found and conditions.get("If-None-Match") == "*":
            raise StorageError(409, "BlobAlreadyExists", "")
        if "If-Match" in conditions and (found is None or found.etag != conditions["If-Match"]):
            raise StorageError(412, "ConditionNotMet", "")
        version = self.put(container, name, content)
        self.containers[container][name].metadata = dict(metadata)
        return version.etag

    async def clear_metadata(self, container: str, name: str, etag: str) -> None:
        self._request("clear")
        stored = self._container(container)[name]
        if stored.etag != etag:
            raise StorageError(412, "ConditionNotMet", "")
        self.put(container, name)

    async def create_container(self, container: str) -> None:
        self._request("create")
        self.containers.setdefault(container, {})

    def _request(self, verb: str) -> None:
        self.requests.append(verb)
        if self.fault:
            raise self.fault

    def _container(self, container: str) -> dict[str, Stored]:
        if container not in self.containers:
            raise StorageError(404, "ContainerNotFound", "")
        return self.containers[container]

    def _blob(self, container: str, name: str) -> Blob:
        stored = self._container(container).get(name)
        if stored is None:
            raise StorageError(404, "BlobNotFound", "")
        return Blob(stored.content, stored.etag, stored.modified, None, stored.metadata, {}, self.now)
