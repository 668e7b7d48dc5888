"""The one place that asks what time it is, and where. Tests replace its functions, so call them as `clock.now()`."""

from __future__ import annotations

from datetime import UTC, date, datetime
from functools import lru_cache
from zoneinfo import ZoneInfo

import tzlocal


def now() -> datetime:
    """The present moment, in UTC."""
    return datetime.now(UTC)


@lru_cache(maxsize=1)
def zone() -> ZoneInfo:
    """The app's time zone: that of its process, which is TZ if that is set (functions-host.md §6)."""
    return tzlocal.get_localzone()


def local_day(moment: datetime | None = None) -> date:
    """The day that it is, or was at that moment (with a time zone), where the app is."""
    return (moment or now()).astimezone(zone()).date()
