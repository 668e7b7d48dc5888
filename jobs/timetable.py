"""The timetable: what is to happen by itself, and at which moments, in the time zone of the process."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from itertools import islice
from typing import Any
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from jobs import clock
from jobs.errors import SettingMissingError
from jobs.settings import settings

MOST_OCCURRENCES = 31
"""So far one looks back: a month of nights, half an hour of minutes."""


@dataclass(frozen=True)
class Job:
    """What one occurrence of a schedule submits."""

    id: str
    input: dict[str, Any]


@dataclass(frozen=True)
class Schedule:
    """One thing that happens by itself. Its name is that of its function in `triggers/timers.py`."""

    name: str
    expression: str
    """NCRONTAB, six fields."""
    grace: timedelta
    """An occurrence that has not run for so long is missed."""
    kind: str | None = None
    """The kind of job that it submits; None: it is no job, but is done at once."""
    job_at: Callable[[datetime], Job] | None = None
    """The job that belongs to an occurrence, which is given in the time zone of the process."""
    makes_up: bool = False
    """Whether each missed occurrence is made up for, and not only the newest."""

    def after(self, moment: datetime) -> Iterator[datetime]:
        """Every occurrence after a moment, oldest first, in UTC."""
        return self._walk(moment, backwards=False)

    def until(self, moment: datetime) -> Iterator[datetime]:
        """Every occurrence at or before a moment, newest first, in UTC."""
        return self._walk(moment + timedelta(microseconds=1), backwards=True)

    def expected(self, after: datetime, until: datetime) -> list[datetime]:
        """The occurrences after one moment and until another: the newest `MOST_OCCURRENCES`, oldest first."""
        newest = islice(self.until(until), MOST_OCCURRENCES)
        return sorted({each for each in newest if each > after})

    def looks_back_to(self, moment: datetime) -> datetime:
        """The oldest occurrence for whose run anybody asks at that moment, or later."""
        return min(islice(self.until(moment), MOST_OCCURRENCES))

    def identity(self, moment: datetime) -> datetime:
        """What is the same for all moments that are one occurrence: a point in time may be run at either of two hours.

        When the clocks show it twice, hosts differ in which one they take.
        """
        return moment if self._is_interval else moment.astimezone(clock.zone()).replace(tzinfo=None, fold=0)

    @cached_property
    def _is_interval(self) -> bool:
        # As the host tells the two apart (functions-host.md §6): it writes the fields for second, minute and hour anew,
        # and then looks for `*` and `-`, which stand there where two neighbours do: in 1,2 and not in */2.
        ticks = CronSim(self.expression, datetime(2000, 1, 1))
        return any(value + 1 in values for values in (ticks.seconds, ticks.minutes, ticks.hours) for value in values)

    def _walk(self, moment: datetime, *, backwards: bool) -> Iterator[datetime]:
        """Occurrences as the host has them (functions-host.md §6).

        An interval goes on through the hour that a change to standard time repeats. A point in time happens once: when
        the clocks show it twice, at the second; when they leave it out, so long after the change as it would have been,
        unless they leave out an earlier one as well: then it is lost.
        """
        zone = clock.zone()
        start = moment.astimezone(zone)
        if self._is_interval:
            yield from (each.astimezone(UTC) for each in _ticks(self.expression, start, backwards))
            return
        # The change may lie between a local time and its neighbour, so begin early and leave out what is not wanted.
        margin = timedelta(hours=3)
        local = start.replace(tzinfo=None) + (margin if backwards else -margin)
        for each in _ticks(self.expression, local, backwards):
            if self._is_lost(each, zone):
                continue
            occurrence = _in_standard_time(each, zone)
            if occurrence < moment if backwards else occurrence > moment:
                yield occurrence

    def _is_lost(self, local: datetime, zone: ZoneInfo) -> bool:
        if not _is_left_out(local, zone):
            return False
        before = next(_ticks(self.expression, local, backwards=True), None)
        return before is not None and before.date() == local.date() and _is_left_out(before, zone)


def check(setting: str, expression: str) -> str:
    """The expression, if it can be understood. Raises SettingMissingError, naming the app setting."""
    try:
        if len(expression.split()) != 6:
            raise CronSimError("there must be six fields")
        next(iter(_ticks(expression, datetime(2000, 1, 1), backwards=False)))
    except (CronSimError, StopIteration) as error:
        raise SettingMissingError(
            f"{setting} is no schedule ({error or 'it never comes'}): six fields for second, minute, hour, day, month "
            "and day of the week (0 to 6), each a number, *, a-b, */n or a list, for example 0 30 2 * * *"
        ) from None
    return expression


def _ticks(expression: str, start: datetime, backwards: bool) -> Iterator[datetime]:
    ticks = CronSim(expression, start, reverse=backwards)
    # NCRONTAB wants the day of the month and the day of the week both to fit, always (functions-host.md §6).
    ticks.day_and = True
    return ticks


def _is_left_out(local: datetime, zone: ZoneInfo) -> bool:
    """Whether no clock shows that local time, because a change goes past it."""
    before, after = (local.replace(tzinfo=zone, fold=fold).utcoffset() for fold in (0, 1))
    return before < after


def _in_standard_time(local: datetime, zone: ZoneInfo) -> datetime:
    """A local time in UTC; by standard time when a change makes it ambiguous or leaves it out, as .NET has it."""
    offset = min(local.replace(tzinfo=zone, fold=fold).utcoffset() for fold in (0, 1))
    return (local - offset).replace(tzinfo=UTC)


def _report_of_the_day_before(occurrence: datetime) -> Job:
    day = (occurrence.date() - timedelta(days=1)).isoformat()
    return Job(day, {"day": day})


def _by_moment(occurrence: datetime) -> Job:
    return Job(f"{occurrence.astimezone(UTC):%Y%m%dT%H%M%SZ}", {})


def _read() -> dict[str, Schedule]:
    given = settings()
    schedules = (
        Schedule(
            "nightly_sales_report",
            check("SALES_REPORT_SCHEDULE", given.sales_report_schedule),
            grace=timedelta(minutes=15),
            kind="sales-report",
            job_at=_report_of_the_day_before,
            makes_up=True,
        ),
        Schedule(
            "nightly_retention",
            check("RETENTION_SCHEDULE", given.retention_schedule),
            grace=timedelta(minutes=15),
            kind="retention",
            job_at=_by_moment,
        ),
        Schedule("watchdog", check("WATCHDOG_SCHEDULE", given.watchdog_schedule), grace=timedelta(minutes=3)),
    )
    return {schedule.name: schedule for schedule in schedules}


SCHEDULES = _read()
"""By name. Read once, as the host reads its timers when it loads the app."""
