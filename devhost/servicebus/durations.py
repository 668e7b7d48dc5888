"""ISO 8601 durations, as configurations and the administration API write them, and milliseconds."""

from __future__ import annotations

from datetime import timedelta

import isodate

NEVER = "P10675199DT2H48M5.4775807S"
"""How "never" and "unlimited" are written: .NET's longest time span (servicebus-amqp.md §10)."""

_NEVER_DAYS = 10_675_199
_MILLISECOND = timedelta(milliseconds=1)


class DurationError(ValueError):
    """The text is no duration that can be used."""


def parse_duration(text: str) -> int | None:
    """`PT1M30S` as ms; None for ever. Raises DurationError."""
    try:
        span = isodate.parse_duration(text)
    except (ValueError, OverflowError, TypeError):
        raise DurationError(f"{text!r} is no ISO 8601 duration; write PT30S, PT5M, PT1H or P14D") from None
    if not isinstance(span, timedelta):
        raise DurationError(f"{text!r} holds months or years, whose length varies; write days, P30D for example")
    if span < timedelta():
        raise DurationError(f"{text!r} is negative")
    return None if span.days >= _NEVER_DAYS else round(span / _MILLISECOND)


def format_duration(milliseconds: int | None) -> str:
    """Ms as ISO 8601; None is NEVER."""
    if milliseconds is None:
        return NEVER
    text = isodate.duration_isoformat(timedelta(milliseconds=milliseconds))
    return "PT0S" if text == "P0D" else text
