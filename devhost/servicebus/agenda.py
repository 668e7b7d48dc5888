"""What is to happen at which moment: lock expiry, time to live, scheduled messages."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from typing import Any

_COMPACT_FROM = 1000


class Agenda:
    """A heap of due times. What is cancelled stays in it until it is due or makes up more than half of it."""

    def __init__(self) -> None:
        self.on_due: Callable[[int], None] | None = None
        """Called with the new earliest moment (ms) when that has come nearer."""
        self._heap: list[list[Any]] = []
        self._count = 0
        self._cancelled = 0

    def at(self, due: int, action: Callable[[Any], None], subject: Any) -> list[Any]:
        """Have `action(subject)` called at `due` (ms); the answer is what `cancel` takes."""
        self._count += 1
        appointment = [due, self._count, action, subject]
        heap = self._heap
        is_earliest = not heap or due < heap[0][0]
        heapq.heappush(heap, appointment)
        if is_earliest and self.on_due is not None:
            self.on_due(due)
        return appointment

    def cancel(self, appointment: list[Any]) -> None:
        """It will not happen. Calling this again, or after it has happened, does nothing."""
        if appointment[2] is None:
            return
        appointment[2] = appointment[3] = None
        self._cancelled += 1
        if self._cancelled > _COMPACT_FROM and self._cancelled * 2 > len(self._heap):
            self._heap = [kept for kept in self._heap if kept[2] is not None]
            heapq.heapify(self._heap)
            self._cancelled = 0

    def next_due(self) -> int | None:
        """The earliest moment at which something happens, None when nothing is to happen."""
        self._drop_cancelled()
        return self._heap[0][0] if self._heap else None

    def run(self, now: int) -> None:
        """Do what is due, in the order of its times."""
        while self._heap and self._heap[0][0] <= now:
            appointment = heapq.heappop(self._heap)
            action, subject = appointment[2], appointment[3]
            if action is None:
                self._cancelled -= 1
                continue
            appointment[2] = appointment[3] = None
            action(subject)

    def is_due(self, now: int) -> bool:
        """Whether `run` may find something to do. Cheap: asked at the head of every operation."""
        return bool(self._heap) and self._heap[0][0] <= now

    def _drop_cancelled(self) -> None:
        while self._heap and self._heap[0][2] is None:
            heapq.heappop(self._heap)
            self._cancelled -= 1
