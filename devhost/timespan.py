"""The .NET way of writing a span of time: `hh:mm:ss`, `d.hh:mm:ss`, with an optional fraction of a second."""

from __future__ import annotations

import re
from datetime import timedelta

_PATTERN = re.compile(r"(-?)(?:(\d+)\.)?(\d{1,2}):(\d{1,2})(?::(\d{1,2})(?:\.(\d{1,7}))?)?")


def parse_timespan(text: str) -> timedelta:
    """The span that `text` means. Raises ValueError when it is not one."""
    match = _PATTERN.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"'{text}' is not a time span: write it as hh:mm:ss or d.hh:mm:ss")
    sign, days, hours, minutes, seconds, fraction = match.groups()
    if int(hours) > 23 or int(minutes) > 59 or int(seconds or 0) > 59:
        raise ValueError(f"'{text}' is not a time span: hours end at 23, minutes and seconds at 59")
    span = timedelta(
        days=int(days or 0),
        hours=int(hours),
        minutes=int(minutes),
        seconds=int(seconds or 0),
        microseconds=int((fraction or "").ljust(7, "0")[:6]),
    )
    return -span if sign else span


def format_timespan(span: timedelta) -> str:
    """The span as .NET prints it: days and fraction only when there are any."""
    sign, span = ("-", -span) if span < timedelta() else ("", span)
    minutes, seconds = divmod(span.seconds, 60)
    hours, minutes = divmod(minutes, 60)
    days = f"{span.days}." if span.days else ""
    fraction = f".{span.microseconds:06d}0" if span.microseconds else ""
    return f"{sign}{days}{hours:02d}:{minutes:02d}:{seconds:02d}{fraction}"
