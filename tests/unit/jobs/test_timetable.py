"""The timetable: occurrences as the host has them, forwards and backwards, through each change of the clocks."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from itertools import islice
from zoneinfo import ZoneInfo

import pytest

from jobs import clock
from jobs.errors import SettingMissingError
from jobs.timetable import Schedule, check

BERLIN = ZoneInfo("Europe/Berlin")


@pytest.fixture(autouse=True)
def in_berlin(monkeypatch):
    monkeypatch.setattr(clock, "zone", lambda: BERLIN)


def every(expression: str) -> Schedule:
    return Schedule("x", expression, timedelta(minutes=1))


def local(schedule: Schedule, after: datetime, count: int) -> list[str]:
    """The next occurrences on the clocks of Berlin; backwards there must be the same."""
    found = list(islice(schedule.after(after), count))
    assert list(islice(schedule.until(found[-1]), count)) == found[::-1]
    return [f"{moment.astimezone(BERLIN):%d %H:%M %z}" for moment in found]


def at(*moment: int) -> datetime:
    return datetime(*moment, tzinfo=BERLIN)


def test_a_time_that_is_left_out_in_spring_comes_when_it_would_have_been():
    found = local(every("0 30 2 * * *"), at(2026, 3, 28, 12), 2)
    assert found == ["29 03:30 +0200", "30 02:30 +0200"]


def test_of_several_times_that_are_left_out_the_first_comes_and_the_others_are_lost():
    found = local(every("0 */20 2 * * *"), at(2026, 3, 28, 12), 3)
    assert found == ["29 03:00 +0200", "30 02:00 +0200", "30 02:20 +0200"]
    last_sundays = local(every("0 30 2 25-31 3 SUN"), at(2026, 1, 1), 2)
    assert last_sundays == ["29 03:30 +0200", "28 03:30 +0200"], "each year's is the first of its own gap"


def test_a_time_that_comes_twice_in_autumn_is_once():
    found = local(every("0 30 2 * * *"), at(2026, 10, 24, 12), 2)
    assert found == ["25 02:30 +0100", "26 02:30 +0100"]


def test_at_either_hour_it_is_the_same_occurrence():
    schedule, first, second = every("0 30 2 * * *"), at(2026, 10, 25, 2, 30), at(2026, 10, 25, 2, 30).replace(fold=1)
    assert second.astimezone(UTC) - first.astimezone(UTC) == timedelta(hours=1)
    assert schedule.identity(first.astimezone(UTC)) == schedule.identity(second.astimezone(UTC))
    assert schedule.identity(first) != schedule.identity(first + timedelta(days=1))


def test_an_interval_goes_on_through_the_hour_that_comes_twice():
    found = local(every("0 */30 * * * *"), datetime(2026, 10, 25, 0, 10, tzinfo=UTC), 3)
    assert found == ["25 02:30 +0200", "25 02:00 +0100", "25 02:30 +0100"]


@pytest.mark.parametrize(
    ("hours", "expected"),
    [
        ("*/2", ["25 00:30 +0200", "25 02:30 +0100", "25 04:30 +0100"]),
        ("1,2", ["25 01:30 +0200", "25 02:30 +0200", "25 02:30 +0100"]),
    ],
)
def test_what_is_an_interval_is_told_as_the_host_tells_it(hours, expected):
    assert local(every(f"0 30 {hours} * * *"), at(2026, 10, 25), 3) == expected


def test_each_night_of_three_years_is_once():
    nights = list(islice(every("0 0 2 * * *").after(at(2026, 1, 1)), 1000))
    days = [night.astimezone(BERLIN).date() for night in nights]
    assert days == [date(2026, 1, 1) + timedelta(days=number) for number in range(1000)]


def test_the_day_of_the_month_and_of_the_week_must_both_fit():
    assert local(every("0 0 12 13 * FRI"), at(2026, 1, 1), 2) == ["13 12:00 +0100", "13 12:00 +0100"]


def test_only_so_many_are_looked_at():
    found = every("0 * * * * *").expected(at(2026, 1, 1), at(2026, 1, 2))
    assert (len(found), found[-1]) == (31, at(2026, 1, 2).astimezone(UTC))
    assert every("0 0 2 * * *").expected(at(2026, 1, 1, 2), at(2026, 1, 2, 2)) == [at(2026, 1, 2, 2).astimezone(UTC)]


@pytest.mark.parametrize("expression", ["0 2 * * *", "0 0 2 * * 9", "0 0 2 30 2 *", "nightly", "00:01:00"])
def test_what_is_no_schedule_is_refused_by_the_name_of_its_setting(expression):
    with pytest.raises(SettingMissingError, match="SALES_REPORT_SCHEDULE"):
        check("SALES_REPORT_SCHEDULE", expression)
