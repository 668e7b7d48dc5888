"""The pauses between polls of an empty source: short at first, then growing, never quite regular."""

from __future__ import annotations

import random

FIRST_PAUSE = 0.1

_random = random.Random()
"""Not the module's own numbers: a test that seeded them shares this process."""


class Backoff:
    """Seconds to wait: 0.1 after the first empty poll, then 0.1 + U(0.8, 1.2)·2ⁿ·0.1 (functions-host.md §4)."""

    def __init__(self, longest: float) -> None:
        self._longest = longest
        self._empty_polls = 0

    def reset(self) -> None:
        """A poll found something: start again with the shortest pause."""
        self._empty_polls = 0

    def next(self) -> float:
        """A poll found nothing: how long to wait before the next."""
        pause = FIRST_PAUSE
        if self._empty_polls:
            # The exponent is held down because 2ⁿ outgrows a float in a night of polling.
            pause += _random.uniform(0.8, 1.2) * 2 ** min(self._empty_polls - 1, 32) * FIRST_PAUSE
        self._empty_polls += 1
        return min(pause, self._longest)
