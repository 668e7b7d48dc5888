"""The one place that asks what time it is. Tests replace `now`, so call it as `clock.now()`."""

from __future__ import annotations

from datetime import UTC, datetime


def now() -> datetime:
    """The present moment, in UTC."""
    return datetime.now(UTC)
