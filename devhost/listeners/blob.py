"""The blob trigger of one function: its part in the blob triggers of its host."""

from __future__ import annotations

from typing import TYPE_CHECKING

from devhost.listeners.blob_registration import BlobRegistration

if TYPE_CHECKING:
    from devhost.functions import Function
    from devhost.host import Host


class BlobListener:
    """Runs one function for each new version of a blob, or for each that Event Grid tells of.

    All of a host's are started, drained and stopped together, since they share one queue.
    """

    def __init__(self, host: Host, function: Function) -> None:
        """Raises what BlobRegistration.of and BlobTriggers.add raise."""
        self._triggers = host.blob_triggers
        self._is_first = self._triggers.is_empty
        self._triggers.add(BlobRegistration.of(host, function))

    async def start(self) -> None:
        """Begin to look for blobs. What is missing or away is waited for."""
        await self._triggers.start()

    async def stop(self) -> None:
        """Look for no more blobs; wait for the running functions and their settlement."""
        await self._triggers.stop()

    async def is_idle(self) -> bool:
        """Nothing runs or waits, and a scan finds nothing new. One answer holds for all of a host's blob triggers."""
        return not self._is_first or await self._triggers.is_idle()
