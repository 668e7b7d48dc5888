"""Keeps the blob trigger's internal queue short: what was found waits in its container until its turn is near."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from devhost.storage.queue import Queue

_MOST = 400
"""Messages. Azurite needs 30 ms for each operation once a queue holds 5,000: ten thousand blobs would take an hour."""
_LOOK_AGAIN = 0.1


class BlobBacklog:
    """Counts what this host puts into the queue, and asks how long it is only when that may matter.

    The real host has no such limit. Nobody sees a difference but in the time that many blobs take.
    """

    def __init__(self, queue: Queue, stopping: asyncio.Event) -> None:
        """Nobody waits for room any longer once `stopping` is set."""
        self._queue = queue
        self._stopping = stopping
        self._room = _MOST
        self._one_at_a_time = asyncio.Lock()

    async def wait_for_room(self) -> bool:
        """Return when a message more may be put into the queue. False: the host stops. Raises what Queue's do."""
        async with self._one_at_a_time:
            while self._room <= 0 and not self._stopping.is_set():
                waiting = await self._queue.approximate_count() or 0
                # A look for each message would cost as much as the message.
                self._room = _MOST - waiting if waiting <= _MOST // 2 else 0
                if not self._room:
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(self._stopping.wait(), _LOOK_AGAIN)
        return not self._stopping.is_set()

    def added(self) -> None:
        """A message was put into the queue."""
        self._room -= 1
