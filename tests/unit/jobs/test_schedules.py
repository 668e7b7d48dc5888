"""Schedules: each occurrence is run once, missed ones are made up for, and what has not run is seen."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import islice
from uuid import uuid4
from zoneinfo import ZoneInfo

import pytest

from jobs import clock, ledger, old_rows, schedule_book, schedule_watch, schedules
from jobs.ages import Ages
from jobs.clients import clients
from jobs.erasing import Eraser
from jobs.schedules import Tick
from jobs.timetable import SCHEDULES, Schedule

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("storage")]

BERLIN = ZoneInfo("Europe/Berlin")
MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)
FIRST = datetime(2025, 10, 20, 2, tzinfo=BERLIN).astimezone(UTC)
"""A night in the week before the clocks change."""
BEGINNING = FIRST


@pytest.fixture
def time(time, monkeypatch):
    """It is the time of Berlin."""
    monkeypatch.setattr(clock, "zone", lambda: BERLIN)
    return time


@pytest.fixture
def of(monkeypatch, time):
    """A schedule that no other test has, like the one of that name."""

    def of(name: str) -> Schedule:
        schedule = replace(SCHEDULES[name], name=f"s{uuid4().hex}")
        monkeypatch.setitem(SCHEDULES, schedule.name, schedule)
        return schedule

    return of


def night(number: int) -> datetime:
    """The moment of a night's report: two o'clock, and where that comes twice the second of them."""
    return (datetime(2025, 10, 20 + number, 2, tzinfo=BERLIN).replace(fold=1)).astimezone(UTC)


def days(durable) -> list[str]:
    return sorted(arguments["input"]["day"] for arguments in durable.started.values())


async def tick(schedule: Schedule, durable, moment: datetime, past_due: bool = False) -> None:
    await schedules.run(schedule.name, Tick(moment, past_due), durable)


async def test_a_night_is_one_job_however_often_it_is_told(of, time, durable):
    schedule = of("nightly_sales_report")
    await asyncio.gather(*(tick(schedule, durable, night(0)) for _ in range(3)))
    await tick(schedule, durable, night(0))
    assert days(durable) == ["2025-10-19"]
    entry = await ledger.get("sales-report", "2025-10-19")
    assert entry.job.source.startswith("timer:")


async def test_missed_nights_are_made_up_for(of, time, durable):
    schedule = of("nightly_sales_report")
    await tick(schedule, durable, night(0))
    time.now = night(4) + 5 * MINUTE
    await tick(schedule, durable, night(1), past_due=True)
    assert days(durable) == [f"2025-10-{day}" for day in (19, 20, 21, 22, 23)]
    seen = await schedule_watch.look(schedule)
    assert (seen.state, seen.last, seen.missed) == ("ok", night(4), ())
    assert seen.next == night(5)


async def test_no_more_than_a_month_is_made_up_for(of, time, durable):
    schedule = of("nightly_sales_report")
    await tick(schedule, durable, night(0))
    time.now = FIRST + 100 * DAY
    await tick(schedule, durable, night(1), past_due=True)
    assert len(days(durable)) <= 1 + 31 + 1


async def test_the_first_tick_ever_for_a_day_long_ago_is_one_report(of, time, durable):
    schedule = of("nightly_sales_report")
    await tick(schedule, durable, night(-9))
    time.now = night(1)
    await tick(schedule, durable, night(1))
    assert days(durable) == ["2025-10-10", "2025-10-20"]


async def test_a_night_that_was_begun_and_not_done_is_done_by_the_next(of, time, durable, monkeypatch):
    schedule = of("nightly_sales_report")
    await schedule_book.head(schedule, since=FIRST - MINUTE)
    await schedule_book.begin(schedule, night(0))
    assert days(durable) == []
    time.now = night(1)
    await tick(schedule, durable, night(1))
    assert days(durable) == ["2025-10-19", "2025-10-20"]


@pytest.mark.parametrize("expression", ["0 0 2 * * *", "0 0 2 * * 1"])
async def test_retention_forgets_no_night_that_would_then_be_made_up_for(of, time, durable, monkeypatch, expression):
    schedule = replace(of("nightly_sales_report"), expression=expression)
    monkeypatch.setitem(SCHEDULES, schedule.name, schedule)
    moments = list(islice(schedule.after(FIRST), 45))
    await schedule_book.head(schedule, since=FIRST - MINUTE)
    for moment in moments:
        await schedule_book.complete(schedule, moment, None)
    time.now = moments[-1] + timedelta(minutes=90)
    # Whatever the settings say.
    continuation, begun = None, False
    while continuation or not begun:
        continuation = await old_rows.erase("schedules", Eraser(dry_run=False), Ages(time.now, time.now), continuation)
        begun = True
    seen = await schedule_watch.look(schedule)
    assert (seen.state, seen.missed) == ("ok", ())
    time.now = next(schedule.after(time.now))
    await tick(schedule, durable, time.now)
    assert len(days(durable)) == 1
    left = clients().table("schedules").query_entities("PartitionKey eq @name", parameters={"name": schedule.name})
    assert len([row async for row in left]) <= 35


async def test_the_night_with_two_two_o_clocks_has_one_report_whichever_the_host_takes(of, time, durable):
    schedule = of("nightly_sales_report")
    time.now = night(4)
    await tick(schedule, durable, time.now)
    first_two_o_clock = datetime(2025, 10, 26, 2, tzinfo=BERLIN).astimezone(UTC)
    assert night(6) - first_two_o_clock == timedelta(hours=1)
    time.now = night(5)
    await tick(schedule, durable, night(5))
    time.now = first_two_o_clock
    await tick(schedule, durable, first_two_o_clock)
    for time.now in (night(6) + 20 * MINUTE, night(7) - MINUTE):
        assert (await schedule_watch.look(schedule)).state == "ok"
    assert days(durable) == ["2025-10-23", "2025-10-24", "2025-10-25"]


async def test_a_schedule_is_late_then_missed_and_well_again_when_it_runs(of, time, durable):
    schedule = of("nightly_sales_report")
    await tick(schedule, durable, night(0))
    for late, state in ((0, "ok"), (2, "late"), (16, "missed")):
        time.now = night(1) + late * MINUTE
        seen = await schedule_watch.look(schedule)
        assert (seen.state, seen.late_since) == (state, None if state == "ok" else night(1))
    assert seen.missed == (night(1),)
    (condition,) = schedule_watch.conditions([seen])
    assert condition.key == f"schedule:{schedule.name}"
    await tick(schedule, durable, night(1), past_due=True)
    assert schedule_watch.conditions([await schedule_watch.look(schedule)]) == []


async def test_what_is_not_made_up_for_is_well_again_with_its_next_run(of, time, durable):
    schedule = of("nightly_retention")
    at = [night(number) + 90 * MINUTE for number in range(4)]
    for time.now in (at[0], at[3]):
        await tick(schedule, durable, time.now)
    seen = await schedule_watch.look(schedule)
    assert (seen.state, seen.missed) == ("ok", (at[2], at[1]))
    assert len(durable.started) == 2


async def test_a_run_that_is_past_due_stands_for_all_that_were_missed(of, time, durable):
    schedule = of("nightly_retention")
    at = [night(number) + 90 * MINUTE for number in range(4)]
    time.now = at[0]
    await tick(schedule, durable, at[0])
    time.now = at[3] + 10 * MINUTE
    await tick(schedule, durable, at[1], past_due=True)
    seen = await schedule_watch.look(schedule)
    assert (seen.state, seen.last, len(durable.started)) == ("ok", at[3], 2)


async def test_since_when_it_has_not_run_is_known_however_long_ago(of, time, durable, monkeypatch):
    schedule = of("watchdog")
    await schedule_book.complete(schedule, FIRST, None)
    time.now = FIRST + DAY
    seen = await schedule_watch.look(schedule)
    assert (seen.state, seen.late_since, len(seen.missed)) == ("missed", FIRST + MINUTE, 27)


async def test_nothing_is_expected_before_a_schedule_is_known_or_changed(of, time, durable, monkeypatch):
    schedule = of("nightly_sales_report")
    assert (await schedule_watch.look(schedule)).state == "ok"
    time.now = night(1) + timedelta(hours=1)
    assert (await schedule_watch.look(schedule)).state == "missed"
    changed = replace(schedule, expression="0 0 1 * * *")
    assert (await schedule_watch.look(changed)).state == "ok"


async def test_in_another_time_zone_no_night_that_is_over_counts_as_missed(of, time, durable, monkeypatch):
    schedule = of("nightly_sales_report")
    for number in range(4):
        time.now = night(number)
        await tick(schedule, durable, time.now)
    durable.started.clear()
    # Retention may have forgotten it.
    await clients().table("jobs").delete_entity("sales-report", "2025-10-20")
    monkeypatch.setattr(clock, "zone", lambda: ZoneInfo("America/New_York"))
    time.now += timedelta(hours=3)
    assert (await schedule_watch.look(schedule)).state == "ok"
    time.now = next(schedule.after(time.now))
    await tick(schedule, durable, time.now)
    assert days(durable) == []
    assert (await schedule_watch.look(schedule)).missed == ()


async def test_what_is_no_job_is_done_once_for_each_occurrence(of, time, durable, monkeypatch):
    schedule, seen = of("watchdog"), []

    async def routine(durable) -> None:
        seen.append(time.now)

    monkeypatch.setitem(schedules.ROUTINES, schedule.name, routine)
    await asyncio.gather(*(tick(schedule, durable, FIRST) for _ in range(3)))
    assert seen == [FIRST]


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ({"Next": "2025-10-20T02:00:00+02:00"}, night(0)),
        ({"Next": "2025-10-20T02:00:00.1234567+02:00"}, night(0) + timedelta(microseconds=123456)),
        ({"Next": "2025-10-19T02:00:00"}, night(-1)),
        ({"Next": "2025-10-21T02:00:00+02:00"}, night(0)),
        ({}, night(0)),
        (None, night(0)),
    ],
)
async def test_the_moment_of_a_tick(time, status, expected):
    time.now = FIRST + 5 * MINUTE
    assert schedules.tick_of("nightly_sales_report", status, False).scheduled_at == expected


@pytest.mark.parametrize("damage", [{"since": "once"}, {"since": "2025-10-20T00:00:00"}, {"last": 5}])
async def test_a_damaged_row_of_a_schedule_is_made_anew(of, time, damage):
    schedule = of("nightly_sales_report")
    await schedule_book.head(schedule, time.now - 9 * DAY)
    row = {"PartitionKey": schedule.name, "RowKey": schedule_book.HEAD, **damage}
    await clients().table("schedules").update_entity(row)
    assert (await schedule_watch.look(schedule)).state == schedule_watch.OK
    assert await schedule_book.head(schedule) == schedule_book.Head(time.now)
