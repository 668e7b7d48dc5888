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
_DAYS_FIRST = re.compile(r"(\d+):(\d{1,2}:\d{1,2})(:\d{1,2}(?:\.\d+)?)?")
_NONE = timedelta()
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
    """An NCRONTAB expression on the wall clocks of one time zone, through changes of the clock as in the real host.

    It searches on the wall clock, and only then asks when that is (functions-host.md §6; CronSchedule.cs). So of the
    points of time within a skipped hour the first comes, an hour later (02:30 as 03:30), and the others are lost.
    """

    adjusts_for_dst = True

    def __init__(self, expression: Ncrontab, zone: tzinfo) -> None:
        self._expression = expression
        self._zone = zone
        self.is_sub_minute = expression.is_sub_minute

    def next(self, after: datetime) -> datetime:
        """See Schedule.next."""
        now = after.astimezone(self._zone)
        walls = self._expression.after(now.replace(tzinfo=None, fold=0))
        found = self._moment(next(walls))
        repeated = self._is_repeated(found)
        if self._expression.is_interval:
            if (repeated or self._is_repeated(now)) and found.utcoffset() != now.utcoffset():
                found = self._by_the_clock_of(now, found)  # it goes on through both of the two hours
        elif repeated and found.utcoffset() != now.utcoffset():
            found = self._by_the_clock_of(now, found)  # the first of the two
        elif repeated:  # the second: the first is taken to have been
            found = next(moment for wall in walls if not self._is_repeated(moment := self._moment(wall)))
        return found.astimezone(UTC)

    def _moment(self, wall: datetime) -> datetime:
        """When a wall clock shows that: the second time if twice; if never, when it would have without the change."""
        second = wall.replace(tzinfo=self._zone, fold=1)
        if self._is_repeated(second):
            return second
        return second.replace(fold=0).astimezone(UTC).astimezone(self._zone)

    def _is_repeated(self, moment: datetime) -> bool:
        """Whether the wall clock shows this time of day twice."""
        return (moment.replace(fold=0).utcoffset() or _NONE) > (moment.replace(fold=1).utcoffset() or _NONE)

    def _by_the_clock_of(self, now: datetime, found: datetime) -> datetime:
        """The moment at which the clock as it is set now would show what `found` shows."""
        change = (found.utcoffset() or _NONE) - (now.utcoffset() or _NONE)
        return (found.astimezone(UTC) + change).astimezone(self._zone)

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
    """As .NET reads it: a number alone is days; so is the first of four, and of three if it is too many for hours."""
    if text.isascii() and text.isdigit():
        return timedelta(days=int(text))
    days_first = _DAYS_FIRST.fullmatch(text)
    if days_first and (days_first[3] or int(days_first[1]) > 23):
        text = f"{days_first[1]}.{days_first[2]}{days_first[3] or ''}"
    return parse_timespan(text)
