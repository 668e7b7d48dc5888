"""A timer's schedule: when it fires next, in the app's time zone, through every change of the clock (§6)."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Protocol
from zoneinfo import ZoneInfo

import tzlocal

from devhost.errors import DevhostError
from devhost.ncrontab import Ncrontab, ScheduleError
from devhost.settings import Settings
from devhost.timespan import format_timespan, parse_timespan

_FIELDS = re.compile(r"\S+(\s+\S+)+")
_DAYS_FIRST = re.compile(r"(\d+):(\d{1,2}:\d{1,2}(?::\d{1,2})?)")
_AROUND_A_CHANGE = timedelta(hours=3)
ZONE_SETTINGS = ("TZ", "WEBSITE_TIME_ZONE")
"""The settings that name the app's time zone; the first that is set counts."""


class Schedule(Protocol):
    """When a timer fires; moments are aware."""

    adjusts_for_dst: bool
    """What the timer's datum says as AdjustForDST."""
    is_sub_minute: bool
    """Whether it may fire more than once a minute, so that its status is not kept."""

    def next(self, after: datetime) -> datetime:
        """The first occurrence strictly after a moment, in UTC."""


class ConstantSchedule:
    """A TimeSpan: the same time after each run began."""

    adjusts_for_dst = False

    def __init__(self, interval: timedelta) -> None:
        self._interval = interval
        self.is_sub_minute = interval < timedelta(minutes=1)

    def next(self, after: datetime) -> datetime:
        """That much later."""
        return after.astimezone(UTC) + self._interval

    def __str__(self) -> str:
        return f"Constant: {format_timespan(self._interval)}"


class CronSchedule:
    """An NCRONTAB expression on the wall clocks of one time zone.

    A time that a change of the clock skips comes when it would have been without the change (02:30 as 03:30). Of a time
    that comes twice, the first counts, unless the expression is like an interval (Ncrontab.is_interval): then both do.
    """

    adjusts_for_dst = True

    def __init__(self, expression: Ncrontab, zone: tzinfo) -> None:
        self._expression = expression
        self._zone = zone
        self.is_sub_minute = expression.is_sub_minute

    def next(self, after: datetime) -> datetime:
        """See Schedule.next."""
        after = after.astimezone(UTC)
        wall = after.astimezone(self._zone).replace(tzinfo=None)
        # Near a change, occurrences may lie on wall clock times that were passed already, or skipped: look there too.
        change = abs(self._offset(after - _AROUND_A_CHANGE) - self._offset(after + _AROUND_A_CHANGE))
        bases = {wall, wall - change}
        return min(next(moment for moment in self._moments(base) if moment > after) for base in bases)

    def _offset(self, moment: datetime) -> timedelta:
        return moment.astimezone(self._zone).utcoffset() or timedelta()

    def _moments(self, base: datetime) -> Iterator[datetime]:
        for wall in self._expression.after(base):
            first = wall.replace(tzinfo=self._zone).astimezone(UTC)
            yield first
            second = wall.replace(tzinfo=self._zone, fold=1).astimezone(UTC)
            if second > first and self._expression.is_interval:
                yield second

    def __str__(self) -> str:
        return f"Cron: '{self._expression.normalized}'"


def read_schedule(text: str, zone: tzinfo = UTC) -> Schedule:
    """The schedule that an expression means: NCRONTAB, else a TimeSpan. Raises ScheduleError."""
    if _FIELDS.fullmatch(text.strip()):
        return CronSchedule(Ncrontab(text), zone)
    try:
        interval = _interval(text.strip())
    except (ValueError, OverflowError):
        raise ScheduleError(
            f"the schedule '{text}' was not recognized as a cron expression or a time span.",
            "Write six fields, e.g. '0 30 2 * * *' for every day at 02:30, or a span, e.g. '00:05:00'.",
        ) from None
    if interval <= timedelta():
        raise ScheduleError(f"the time span '{text}' of the schedule is not positive.", "Write it e.g. as '00:05:00'.")
    return ConstantSchedule(interval)


def local_zone(settings: Settings) -> tzinfo:
    """The app's time zone: the setting TZ or WEBSITE_TIME_ZONE, else the machine's. Raises DevhostError."""
    for name in ZONE_SETTINGS:
        if zone := settings.get(name):
            try:
                return ZoneInfo(zone.lstrip(":"))
            except (KeyError, ValueError, OSError):
                raise DevhostError(
                    f"The setting {name} is '{zone}', which is no time zone known here.",
                    "Write it as in the IANA database, e.g. Europe/Berlin.",
                ) from None
    return tzlocal.reload_localzone()


def occurrences(schedule: Schedule, after: datetime, count: int) -> list[datetime]:
    """The next `count` occurrences."""
    return list(itertools.islice(_following(schedule, after), count))


def _following(schedule: Schedule, moment: datetime) -> Iterator[datetime]:
    while True:
        moment = schedule.next(moment)
        yield moment


def _interval(text: str) -> timedelta:
    """As .NET reads it: `24:00:00`, with more hours than a day has, is 24 days."""
    days_first = _DAYS_FIRST.fullmatch(text)
    if days_first and int(days_first[1]) > 23:
        text = f"{days_first[1]}.{days_first[2]}"
    return parse_timespan(text)
