"""The blob input and output, over the Azure SDK."""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from azure.functions.meta import Datum

from devhost.bindings.dotnet import compact_json
from devhost.bindings.expressions import BindingExpression, BindingExpressionError
from devhost.bindings.results import read_value
from devhost.deferred import blob_reference, is_deferred

if TYPE_CHECKING:
    from azure.storage.blob.aio import BlobClient

    from devhost.functions import Binding
    from devhost.host import Host

PARENT_ID = "AzureWebJobsParentId"
"""The metadata key under which the host notes which invocation wrote a blob."""


class _BlobBinding:
    def __init__(self, host: Host, binding: Binding) -> None:
        """Raises what StorageAccounts.account raises, and BindingExpressionError."""
        connection = binding.properties.get("connection")
        self._host = host
        self._endpoint = host.storage.account(connection).blob_endpoint
        self._service = host.storage.blobs(connection)
        self._path = BindingExpression(binding.properties["path"])
        self._data_type = str(binding.properties.get("dataType", "STRING")).upper()

    def check(self, data: Mapping[str, Any]) -> None:
        """Raise BindingExpressionError if `data` lacks a name that the path uses, or the path names no blob."""
        self._split(data)

    def _blob(self, data: Mapping[str, Any]) -> BlobClient:
        return self._service.get_blob_client(*self._split(data))

    def _split(self, data: Mapping[str, Any]) -> tuple[str, str]:
        path = self._path.resolve(data)
        container, _, name = path.partition("/")
        if not container or not name:
            raise BindingExpressionError(
                f"The blob path '{path}' (from '{self._path.text}') does not name a container and a blob.",
                "Write it as container/name.",
            )
        return container, name


class BlobInput(_BlobBinding):
    """Reads a blob whole: as text, or as bytes with data_type BINARY or STREAM. A missing blob gives None.

    For an argument of an SDK type it reads nothing and says where the blob is; such a path may name a container alone.
    """

    def __init__(self, host: Host, binding: Binding) -> None:
        """Raises what StorageAccounts.account raises, and BindingExpressionError."""
        super().__init__(host, binding)
        connection = binding.properties.get("connection")
        self._variable = host.settings.connection_variable(connection) if is_deferred(binding) else None

    async def read(self, data: Mapping[str, Any]) -> Datum:
        """The blob's content; text is UTF-8, broken sequences replaced, as a .NET StreamReader does it."""
        if self._variable is not None:
            container, _, name = self._path.resolve(data).partition("/")
            return blob_reference(self._variable, container, name or None)
        from azure.core.exceptions import ResourceNotFoundError

        try:
            content = await (await self._blob(data).download_blob()).readall()
        except ResourceNotFoundError:
            return Datum(None, None)
        if self._data_type == "STRING":
            return Datum(content.decode("utf-8-sig", "replace"), "string")
        return Datum(content, "bytes")


class BlobOutput(_BlobBinding):
    """Writes a blob, overwriting it; its container is created if missing (functions-host.md §2.4)."""

    async def write(self, value: Datum, data: Mapping[str, Any]) -> None:
        """Upload the content and note the invocation in the blob's metadata, beside what was there."""
        from azure.core.exceptions import ResourceExistsError, ResourceNotFoundError

        blob = self._blob(data)
        content = _content(read_value(value))
        try:
            metadata = dict((await blob.get_blob_properties()).metadata)
        except ResourceNotFoundError:
            metadata = {}
        metadata[PARENT_ID] = str(data.get("$invocationId", ""))
        try:
            await blob.upload_blob(content, overwrite=True, metadata=metadata)
        except ResourceNotFoundError:
            with contextlib.suppress(ResourceExistsError):  # another invocation was faster
                await self._service.create_container(blob.container_name)
            await blob.upload_blob(content, overwrite=True, metadata=metadata)
        self._host.blob_triggers.written(self._endpoint, blob.container_name)


def _content(value: Any) -> bytes:
    """Text as UTF-8, objects as compact JSON, and bare numbers as .NET's BitConverter lays them out."""
    match value:
        case bytes():
            return value
        case str():
            return value.encode()
        case bool():
            return struct.pack("<?", value)
        case int():
            return struct.pack("<i", (value + 2**31) % 2**32 - 2**31)
        case float():
            return struct.pack("<d", value)
    return compact_json(value).encode()
