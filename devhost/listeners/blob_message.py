"""What stands in the blob trigger's internal queue, and what a function is given of a blob (functions-host.md §5)."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from devhost.datum import to_metadata
from devhost.invocation import TriggerData
from devhost.listeners.queue_message import UndecodableError, decode
from devhost.storage.blob_service import Blob, BlobVersion
from devhost.storage.queue import ReceivedMessage

TYPE = "BlobTrigger"
_HEADERS = {
    "ContentType": "Content-Type",
    "ContentEncoding": "Content-Encoding",
    "ContentLanguage": "Content-Language",
    "ContentDisposition": "Content-Disposition",
    "CacheControl": "Cache-Control",
    "BlobType": "x-ms-blob-type",
    "AccessTier": "x-ms-access-tier",
    "VersionId": "x-ms-version-id",
}
"""Properties of a blob as .NET names them, by the header that tells them."""


@dataclass(frozen=True, slots=True)
class BlobMessage:
    """One version of a blob that one function is to run for."""

    function_id: str
    container: str
    name: str
    etag: str
    blob_type: str = "BlockBlob"

    @classmethod
    def of(cls, version: BlobVersion, function_id: str) -> BlobMessage:
        """The message about a version."""
        return cls(function_id, version.container, version.name, version.etag, version.blob_type)

    def to_text(self) -> str:
        """The message text, as the real host writes it."""
        document = {
            "Type": TYPE,
            "FunctionId": self.function_id,
            "BlobType": self.blob_type,
            "ContainerName": self.container,
            "BlobName": self.name,
            "ETag": self.etag,
        }
        return base64.b64encode(json.dumps(document, ensure_ascii=False).encode()).decode()

    @classmethod
    def parse(cls, text: str) -> BlobMessage | None:
        """The message behind a text; None if it is no such message."""
        try:
            document = json.loads(decode(text, is_base64=True))
            fields = [document[key] for key in ("FunctionId", "ContainerName", "BlobName", "ETag")]
        except (UndecodableError, ValueError, KeyError, TypeError):
            return None
        if not all(isinstance(field, str) for field in fields):
            return None
        return cls(*fields, blob_type=str(document.get("BlobType", "BlockBlob")))


def binding_data(path: str, url: str, blob: Blob, tokens: Mapping[str, str]) -> dict[str, Any]:
    """The names that {expressions} may use; what the path captured stands before the rest, whatever its case."""
    taken = {name.lower() for name in tokens}
    known = {"BlobTrigger": path, "Uri": url, "Properties": _properties(blob), "Metadata": dict(blob.metadata)}
    return {**{name: value for name, value in known.items() if name.lower() not in taken}, **tokens}


def trigger_data(value: Any, data: dict[str, Any], reason: str, details: str = "") -> TriggerData:
    """The invocation's trigger data; `value` is the content or what stands for it."""
    return TriggerData(value=value, metadata=to_metadata(data), reason=reason, details=details, binding_data=data)


def details_of(message: ReceivedMessage, blob: Blob) -> str:
    """The "Trigger Details" of a run from the queue."""
    moments = {"InsertedOn": message.inserted_on, "BlobCreated": blob.created, "BlobLastModified": blob.modified}
    texts = [f"{name}: {_moment(moment)}" for name, moment in moments.items() if moment is not None]
    return ", ".join([f"MessageId: {message.id}", f"DequeueCount: {message.dequeue_count}", *texts])


def _properties(blob: Blob) -> dict[str, Any]:
    length = int(blob.headers.get("Content-Length", len(blob.content)))
    told = {name: blob.headers[header] for name, header in _HEADERS.items() if header in blob.headers}
    known = {"ContentLength": length, "Length": length, "ETag": blob.etag, "LastModified": blob.modified.isoformat()}
    return {**known, **({"CreatedOn": blob.created.isoformat()} if blob.created else {}), **told}


def _moment(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds")
