"""The blob service of a storage account: the operations that the blob trigger needs, as plain REST calls."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from urllib.parse import quote, unquote
from xml.etree import ElementTree

import aiohttp

from devhost.storage.errors import StorageError
from devhost.storage.service import StorageService

_METADATA = "x-ms-meta-"
_PAGE = 5000


@dataclass(frozen=True, slots=True)
class BlobVersion:
    """One version of a blob, as a listing or a write tells it."""

    container: str
    name: str
    etag: str
    """With its quotes."""
    modified: datetime
    """To the second; on Azurite the moment at which the upload began, not that at which it ended."""
    blob_type: str = "BlockBlob"

    @property
    def path(self) -> str:
        """`container/name`."""
        return f"{self.container}/{self.name}"


@dataclass(frozen=True, slots=True)
class Blob:
    """A blob that was read: its content ("" bytes if only its head was asked for) and what is known of it."""

    content: bytes
    etag: str
    modified: datetime
    created: datetime | None
    metadata: Mapping[str, str]
    headers: Mapping[str, str]
    """The answer's headers; names ignore case."""
    answered: datetime
    """The service's own time."""


class BlobService(StorageService):
    """The blobs of one account. Its methods raise what StorageService.request raises."""

    kind = "blob"
    # A large blob may take its time, as long as something of it arrives.
    timeout = aiohttp.ClientTimeout(total=None, connect=5, sock_read=30)

    def url(self, container: str, name: str) -> str:
        """A blob's address, without authorisation."""
        return f"{self.endpoint}/{_path(container, name)}"

    async def versions(self, container: str) -> AsyncIterator[BlobVersion]:
        """Every blob of a container."""
        marker = ""
        while True:
            query = f"restype=container&comp=list&maxresults={_PAGE}&marker={quote(marker, safe='')}"
            _, answer = await self.request("GET", container, query)
            document = ElementTree.fromstring(answer)
            for element in document.iterfind("Blobs/Blob"):
                yield _version(container, element)
            marker = document.findtext("NextMarker") or ""
            if not marker:
                return

    async def read(self, container: str, name: str, etag: str | None = None) -> Blob:
        """The whole blob; 412 if it no longer is the version `etag` (Azurite: also if it is gone)."""
        headers = {"If-Match": etag} if etag else None
        return _blob(*await self.request("GET", _path(container, name), headers=headers))

    async def head(self, container: str, name: str) -> Blob:
        """The blob without its content."""
        return _blob(*await self.request("HEAD", _path(container, name)))

    async def write(
        self, container: str, name: str, content: bytes, conditions: Mapping[str, str] | None = None, **metadata: str
    ) -> str:
        """Write a block blob and return its ETag. `conditions` are headers such as If-None-Match."""
        headers = {"x-ms-blob-type": "BlockBlob", **(conditions or {}), **_metadata(metadata)}
        answer, _ = await self.request("PUT", _path(container, name), body=content, headers=headers)
        return answer["ETag"]

    async def clear_metadata(self, container: str, name: str, etag: str) -> None:
        """Remove a blob's metadata; 412 if it no longer is the version `etag`."""
        await self.request("PUT", _path(container, name), "comp=metadata", headers={"If-Match": etag})

    async def create_container(self, container: str) -> None:
        """Create a container unless it exists."""
        try:
            await self.request("PUT", container, "restype=container")
        except StorageError as error:
            if error.code != "ContainerAlreadyExists":
                raise


def _path(container: str, name: str) -> str:
    return f"{container}/{quote(name, safe='/')}"


def _metadata(metadata: Mapping[str, str]) -> dict[str, str]:
    return {f"{_METADATA}{name}": value for name, value in metadata.items()}


def _version(container: str, element: ElementTree.Element) -> BlobVersion:
    name = element.find("Name")
    text = name.text or ""
    properties = element.find("Properties")
    return BlobVersion(
        container=container,
        # Names that XML cannot hold come percent-encoded.
        name=unquote(text) if name.get("Encoded") == "true" else text,
        etag=f'"{(properties.findtext("Etag") or "").strip(chr(34))}"',
        modified=parsedate_to_datetime(properties.findtext("Last-Modified")),
        blob_type=properties.findtext("BlobType") or "BlockBlob",
    )


def _blob(headers: Mapping[str, str], content: bytes) -> Blob:
    created = headers.get("x-ms-creation-time")
    return Blob(
        content=content,
        etag=headers["ETag"],
        modified=parsedate_to_datetime(headers["Last-Modified"]),
        created=parsedate_to_datetime(created) if created else None,
        metadata={
            name[len(_METADATA) :]: value for name, value in headers.items() if name.lower().startswith(_METADATA)
        },
        headers=headers,
        answered=parsedate_to_datetime(headers["Date"]),
    )
