"""Keeps a message's or a session's lock for as long as it is worked on, within maxAutoLockRenewalDuration."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

from azure.servicebus.exceptions import (
    MessageLockLostError,
    MessageNotFoundError,
    ServiceBusError,
    SessionLockLostError,
)

_log = logging.getLogger("devhost.servicebus")

LOST = (MessageLockLostError, SessionLockLostError, MessageNotFoundError)
"""Errors that mean: the lock is gone, and somebody else may have what it was for."""
_SHORTEST_PAUSE = 0.1


class LockRenewal:
    """Renews a lock at half of what is left of it; ends by release(), when it is lost, or when its time is over.

    A timer costs a microsecond, a task thirty: most functions end long before the first renewal.
    """

    def __init__(
        self,
        what: str,
        locked_until: datetime | None,
        renew: Callable[[], Awaitable[datetime]],
        longest: float,
    ) -> None:
        """`what` names the lock in the log; `renew` returns the new end; `longest`: seconds of renewal, 0 for none."""
        self._what = what
        self._renew = renew
        self._task: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._ends = asyncio.get_running_loop().time() + longest
        self._plan(locked_until)

    async def release(self) -> None:
        """Stop renewing."""
        self._ends = 0.0
        if self._timer is not None:
            self._timer.cancel()
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})

    def _plan(self, locked_until: datetime | None) -> None:
        if locked_until is None:
            return
        loop = asyncio.get_running_loop()
        pause = max((locked_until - datetime.now(UTC)).total_seconds() / 2, _SHORTEST_PAUSE)
        if loop.time() + pause < self._ends:
            self._timer = loop.call_later(pause, self._begin, locked_until)

    def _begin(self, locked_until: datetime) -> None:
        self._task = asyncio.get_running_loop().create_task(self._renew_once(locked_until))

    async def _renew_once(self, locked_until: datetime) -> None:
        try:
            locked_until = await self._renew()
        except LOST as error:
            _log.warning("The lock of %s is lost (%s): it may be worked on elsewhere as well.", self._what, error)
            return
        except (ServiceBusError, ValueError) as error:  # away, or the receiver is being replaced: try again
            _log.debug("The lock of %s was not renewed: %s", self._what, error)
            if locked_until <= datetime.now(UTC):
                return
        self._plan(locked_until)
