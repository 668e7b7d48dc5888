"""When an instance's next episode begins: at once, or a little later so that more answers go into one replay.

A replay costs the SDK a fixed time for every event of the whole history. An episode for each of a thousand answers
would cost the square of a thousand. So while an instance has more work under way, its episode waits for twice the time
that the replay is going to take, or until the last answer is there: replays take at most a third of the time then, and
as the history grows so do the batches, and the total stays in proportion to the number of answers. A chain never
waits.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

_WAIT_PER_REPLAY = 2.0
_LONGEST_WAIT = 5.0
_FIRST_GUESS = 20e-6


@dataclass(slots=True)
class _Pace:
    open_work: int
    events: int
    arrived: int = 0
    timer: asyncio.TimerHandle | None = None


class Pacer:
    """Delays the episodes of instances that wait for many answers."""

    def __init__(self, begin: Callable[[str], None]) -> None:
        self._begin = begin
        self._paces: dict[str, _Pace] = {}
        self._seconds_per_event = _FIRST_GUESS

    @property
    def is_waiting(self) -> bool:
        """Whether an episode is being delayed."""
        return any(pace.timer is not None for pace in self._paces.values())

    def replayed(self, instance_id: str, events: int, seconds: float, open_work: int) -> None:
        """An episode with so many events has been committed, and so much work is under way now."""
        if events:
            self._seconds_per_event += 0.2 * (seconds / events - self._seconds_per_event)
        if open_work > 1:
            self._paces[instance_id] = _Pace(open_work, events)

    def arrived(self, instance_id: str, count: int = 1) -> None:
        """There are messages: begin the episode now or later."""
        pace = self._paces.get(instance_id)
        if pace is None:
            self._begin(instance_id)
            return
        pace.arrived += count
        if pace.arrived >= pace.open_work:
            self.forget(instance_id)
            self._begin(instance_id)
        elif pace.timer is None:
            replay = (pace.events + pace.open_work) * self._seconds_per_event
            wait = min(_WAIT_PER_REPLAY * replay, _LONGEST_WAIT)
            pace.timer = asyncio.get_running_loop().call_later(wait, self._waited, instance_id)

    def forget(self, instance_id: str) -> None:
        """Its episode begins."""
        pace = self._paces.pop(instance_id, None)
        if pace is not None and pace.timer is not None:
            pace.timer.cancel()

    def clear(self) -> None:
        """Begin nothing any more."""
        for instance_id in list(self._paces):
            self.forget(instance_id)

    def _waited(self, instance_id: str) -> None:
        self._paces.pop(instance_id, None)
        self._begin(instance_id)
