"""The clock of durable timers and timer triggers: the real one, and one that a test can move forward."""

from __future__ import annotations

import asyncio
import heapq
import itertools
from datetime import UTC, datetime, timedelta

_LONGEST_WAIT = 60.0
"""Seconds. While a machine sleeps, a wait does not go on: so long after it has woken up, what is due is late."""


class Clock:
    """Real time. Polling and leases do not use this clock: they always live in real time."""

    def now(self) -> datetime:
        """The current moment, aware, in UTC."""
        return datetime.now(UTC)

    async def sleep_until(self, when: datetime) -> None:
        """Return once `when` (aware) has come; at once if it has passed."""
        while (seconds := (when - self.now()).total_seconds()) > 0:
            await asyncio.sleep(min(seconds, _LONGEST_WAIT))


class VirtualClock(Clock):
    """Real time plus an offset that only ever grows: time flows as usual, and a test may jump ahead.

    All methods belong to the host's event loop; `devhost.testing.TestHost.advance` is the way in for a test.
    """

    def __init__(self) -> None:
        self._offset = timedelta()
        self._sleepers: list[tuple[datetime, int, asyncio.Event]] = []
        self._order = itertools.count()

    def now(self) -> datetime:
        """The current virtual moment, aware, in UTC."""
        return datetime.now(UTC) + self._offset

    async def sleep_until(self, when: datetime) -> None:
        """Return once `when` (aware) has come, by itself or by a jump."""
        while (seconds := (when - self.now()).total_seconds()) > 0:
            moved = asyncio.Event()
            sleeper = (when, next(self._order), moved)
            heapq.heappush(self._sleepers, sleeper)
            try:
                async with asyncio.timeout(min(seconds, _LONGEST_WAIT)):
                    await moved.wait()
            except TimeoutError:
                pass
            finally:
                if sleeper in self._sleepers:
                    self._sleepers.remove(sleeper)
                    heapq.heapify(self._sleepers)

    def next_sleeper(self) -> datetime | None:
        """The earliest moment that somebody waits for."""
        return self._sleepers[0][0] if self._sleepers else None

    def jump_to(self, when: datetime) -> None:
        """Make it `when` now and wake everyone who waited for that moment or an earlier one. Never moves back."""
        self._offset += max(when - self.now(), timedelta())
        while self._sleepers and self._sleepers[0][0] <= self.now():
            heapq.heappop(self._sleepers)[2].set()
