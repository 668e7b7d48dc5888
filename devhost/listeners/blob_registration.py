"""One blob-triggered function as its host's blob triggers know it: which blobs it wants, and how it is given one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from azure.functions.meta import Datum

from devhost.deferred import blob_reference, is_deferred
from devhost.errors import DevhostError
from devhost.invocation import TriggerData
from devhost.listeners.blob_message import binding_data, trigger_data
from devhost.listeners.blob_path import BlobPath
from devhost.storage.blob_service import Blob, BlobService
from devhost.storage.errors import InvalidConnectionError, StorageError

if TYPE_CHECKING:
    from devhost.functions import Function
    from devhost.host import Host
    from devhost.storage.queue import Queue

POISON_QUEUE = "webjobs-blobtrigger-poison"
EVENT_GRID = "EventGrid"
_SCAN = "LogsAndContainerScan"


class BlobSourceError(DevhostError):
    """A blob trigger whose `source` is none."""


@dataclass(frozen=True, slots=True)
class BlobRegistration:
    """A function, its path, and the account of its blobs."""

    function: Function
    path: BlobPath
    service: BlobService
    poison: Queue
    """In the account of the blobs, or the host's if that has no queues."""
    is_event_grid: bool
    variable: str | None
    """Of an argument of an SDK type: the environment variable with its connection string. The content is not read."""

    @classmethod
    def of(cls, host: Host, function: Function) -> BlobRegistration:
        """Raises what StorageAccounts.account raises, BlobPathError and BlobSourceError."""
        properties = function.trigger.properties
        connection = properties.get("connection")
        source = str(properties.get("source") or _SCAN)
        if source not in (_SCAN, EVENT_GRID):
            raise BlobSourceError(f"the blob trigger's source is '{source}'.", f"Use {_SCAN} or {EVENT_GRID}.")
        return cls(
            function=function,
            path=BlobPath(properties["path"]),
            service=host.storage.blob_service(connection),
            poison=_poison_queue(host, connection),
            is_event_grid=source == EVENT_GRID,
            variable=host.settings.connection_variable(connection) if is_deferred(function.trigger) else None,
        )

    @property
    def id(self) -> str:
        """The function's full id."""
        return f"Host.Functions.{self.function.name}"

    async def read(self, container: str, name: str, etag: str | None = None) -> Blob:
        """The blob, without content if the function fetches it itself.

        Raises what BlobService.read raises: StorageError 404 if it is gone, 412 if it is not the version `etag`.
        """
        if self.variable is None:
            return await self.service.read(container, name, etag)
        blob = await self.service.head(container, name)
        if etag is not None and blob.etag != etag:
            raise StorageError(412, "ConditionNotMet", f"{container}/{name} is {blob.etag} now, not {etag}")
        return blob

    def trigger_data(self, container: str, name: str, blob: Blob, reason: str, details: str = "") -> TriggerData:
        """What the function is given of a blob that was read."""
        tokens = self.path.match(container, name) or {}
        data = binding_data(f"{container}/{name}", self.service.url(container, name), blob, tokens)
        if self.variable is None:
            value = Datum(blob.content, "bytes")
        else:
            value = blob_reference(self.variable, container, name)
        return trigger_data(value, data, reason, details)


def _poison_queue(host: Host, connection: str | None) -> Queue:
    try:
        return host.storage.queues(connection).queue(POISON_QUEUE)
    except InvalidConnectionError:
        return host.storage.queues().queue(POISON_QUEUE)
