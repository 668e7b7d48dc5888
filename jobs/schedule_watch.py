"""The watch over schedules: what each should have run by now against what it has run."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from jobs import clock, schedule_book
from jobs.alerts import Condition
from jobs.ledger import written
from jobs.schedule_book import Head
from jobs.timetable import SCHEDULES, Schedule

SCHEDULE = "schedule"
"""The group of its alerts."""
OK, LATE, MISSED = "ok", "late", "missed"
PUNCTUAL = timedelta(minutes=1)
"""A timer fires within seconds, and what it does takes some."""


@dataclass(frozen=True)
class Outlook:
    """One schedule, as it stands."""

    schedule: Schedule
    state: str
    """ok; late: an occurrence has not run, but may yet; missed: it is past the schedule's grace."""
    last: datetime | None
    """The newest occurrence that has run."""
    next: datetime
    missed: tuple[datetime, ...]
    """The occurrences without a run among the last 31, newest first."""
    late_since: datetime | None
    """The oldest occurrence that is still to run."""
    job: str | None
    """The job that it submitted last, as `<kind>/<id>`."""

    def to_dict(self) -> dict[str, Any]:
        """As an operator sees it."""
        return {
            "name": self.schedule.name,
            "expression": self.schedule.expression,
            "timeZone": str(clock.zone()),
            "state": self.state,
            "last": _shown(self.last),
            "next": _shown(self.next),
            "lateSince": _shown(self.late_since),
            "missed": list(map(_shown, self.missed)),
            "lastJob": f"/api/jobs/{self.job}" if self.job else None,
        }


async def outlooks() -> list[Outlook]:
    """All schedules. It costs two requests for each."""
    return [await look(schedule) for schedule in SCHEDULES.values()]


async def look(schedule: Schedule) -> Outlook:
    """How one schedule stands."""
    now = clock.now()
    head = await schedule_book.head(schedule)
    expected = schedule.expected(head.since, now)
    open = await schedule_book.left_open(schedule, expected)
    # What has gone by without a run is over with the next one, unless it will be made up for.
    awaited = [moment for moment in open if schedule.makes_up or head.last is None or moment > head.last]
    late = [moment for moment in awaited if now - moment > PUNCTUAL]
    is_missed = any(now - moment > schedule.grace for moment in awaited)
    return Outlook(
        schedule,
        MISSED if is_missed else LATE if late else OK,
        head.last,
        next(schedule.after(now)),
        tuple(moment for moment in reversed(open) if now - moment > schedule.grace),
        _late_since(schedule, head, late),
        head.job,
    )


def _late_since(schedule: Schedule, head: Head, late: list[datetime]) -> datetime | None:
    if not late or schedule.makes_up:
        return late[0] if late else None
    # It may be longer ago than one looks back.
    return next(schedule.after(max(head.since, head.last or head.since)))


def conditions(found: list[Outlook]) -> list[Condition]:
    """Those that have missed an occurrence."""
    return [
        Condition(
            f"{SCHEDULE}:{each.schedule.name}",
            f"the schedule {each.schedule.name} has not run",
            {"lateSince": _shown(each.late_since), "missed": len(each.missed)},
        )
        for each in found
        if each.state == MISSED
    ]


def _shown(moment: datetime | None) -> str | None:
    return None if moment is None else written(moment)
