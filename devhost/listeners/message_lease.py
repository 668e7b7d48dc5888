"""Keeps a queue message hidden for as long as its function runs."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from devhost.storage.errors import StorageError, StorageUnavailableError

if TYPE_CHECKING:
    from devhost.storage.queue import Queue, ReceivedMessage

_log = logging.getLogger("devhost.queues")


class MessageLease:
    """Renews a message's visibility at half of its time, always with the newest pop receipt (functions-host.md §4).

    A timer costs a microsecond, a task thirty: most functions end long before the first renewal.
    """

    def __init__(self, queue: Queue, message: ReceivedMessage, seconds: int) -> None:
        """Start renewing; the message has just been taken for `seconds`."""
        self._queue = queue
        self._message = message
        self._seconds = seconds
        self._renewal: asyncio.Task[None] | None = None
        self._interval = seconds / 2
        self._timer = asyncio.get_running_loop().call_later(self._interval, self._begin_renewal)

    async def release(self) -> None:
        """Stop renewing. Afterwards the message's pop receipt no longer changes."""
        self._timer.cancel()
        if self._renewal is not None:
            await self._renewal
            # If it was under way it has set the next timer, which would hide the message for ever.
            self._timer.cancel()

    def _begin_renewal(self) -> None:
        self._renewal = asyncio.get_running_loop().create_task(self._renew())

    async def _renew(self) -> None:
        try:
            await self._queue.update(self._message, self._seconds)
            self._interval = self._seconds / 2
        except StorageUnavailableError:
            self._interval = max(self._interval / 2, self._seconds / 10)
        except StorageError as error:
            _log.warning(
                "The lease of message %s in '%s' is lost (%s): another host may run it as well.",
                self._message.id, self._queue.name, error,
            )  # fmt: skip
            return
        self._timer = asyncio.get_running_loop().call_later(self._interval, self._begin_renewal)
