"""Retry policies of functions (`@app.retry`, host.json `retry`): how often, and after which delay."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from devhost.timespan import parse_timespan

_random = random.Random()
"""Not the module's own numbers: a test that seeded them shares this process."""


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How the host repeats a failed invocation around the same trigger item (functions-host.md §8)."""

    max_retries: int
    """-1 means for ever."""
    minimum: timedelta
    maximum: timedelta | None = None
    """None: every delay is `minimum`; otherwise delays grow from `minimum` to this."""

    @classmethod
    def from_settings(cls, values: Mapping[str, Any]) -> RetryPolicy:
        """From the decorator's (snake_case) or host.json's (camelCase) names. Raises ValueError."""
        known = {key.replace("_", "").lower(): value for key, value in values.items() if value is not None}
        strategy = str(known.get("strategy", "")).replace("_", "").lower()
        try:
            count = int(known["maxretrycount"])
            if strategy == "fixeddelay":
                return cls(count, parse_timespan(known["delayinterval"]))
            if strategy == "exponentialbackoff":
                return cls(count, parse_timespan(known["minimuminterval"]), parse_timespan(known["maximuminterval"]))
        except KeyError as missing:
            raise ValueError(f"the retry policy lacks {missing}") from None
        raise ValueError(f"the retry strategy '{known.get('strategy')}' is neither fixed_delay nor exponential_backoff")

    def allows(self, retries_done: int) -> bool:
        """Whether one more retry may follow after `retries_done`."""
        return self.max_retries < 0 or retries_done < self.max_retries

    def delay(self, retries_done: int) -> timedelta:
        """How long to wait before the next retry."""
        if self.maximum is None or retries_done == 0:
            return self.minimum
        factor = _random.uniform(0.8, 1.2) * 2 ** min(retries_done - 1, 32)
        return min(self.minimum + self.minimum * factor, self.maximum)
