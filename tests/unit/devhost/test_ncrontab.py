"""NCRONTAB as the real host reads it (functions-host.md §6)."""

from __future__ import annotations

import itertools
from datetime import datetime

import pytest

from devhost.ncrontab import Ncrontab, ScheduleError

THURSDAY = datetime(2026, 1, 1)


def first(text: str, count: int = 3, after: datetime = THURSDAY) -> list[str]:
    return [f"{moment:%d.%m.%y %H:%M:%S}" for moment in itertools.islice(Ncrontab(text).after(after), count)]


@pytest.mark.parametrize(
    ("text", "normalized"),
    [
        ("0 */5 * * * *", "0 0,5,10,15,20,25,30,35,40,45,50,55 * * * *"),
        ("*/5 * * * *", "0,5,10,15,20,25,30,35,40,45,50,55 * * * *"),
        ("0 5/15 * * * *", "0 5,20,35,50 * * * *"),
        ("0 0 9-17/4 * * *", "0 0 9,13,17 * * *"),
        ("0 0 0 * Jan,MAR,decem Mon-fri", "0 0 0 * 1,3,12 1-5"),
        ("0 0 0 * M t", "0 0 0 * 3 2"),
        ("0 0 0 * * FRI-MON", "0 0 0 * * 1-5"),
        ("0 0 20-8 * * *", "0 0 8-20 * * *"),
        ("0 0 0 1-3,2,4,31 * 0-6", "0 0 0 1-4,31 * *"),
        ("0\t0  0 * * *", "0 0 0 * * *"),
    ],
)
def test_what_an_expression_means(text, normalized):
    assert Ncrontab(text).normalized == normalized


@pytest.mark.parametrize(
    ("text", "field", "wrong"),
    [
        ("0 0 0 * * 7", "day of week", "7 is not from 0 to 6; Sunday is 0"),
        ("60 0 0 * * *", "second", "60 is not from 0 to 59"),
        ("0 0 24 * * *", "hour", "24 is not from 0 to 23"),
        ("0 0 0 0 * *", "day", "0 is not from 1 to 31"),
        ("0 0 0 L * *", "day", "'L' (the last day) is not known here"),
        ("0 0 0 15W * *", "day", "'W' (the nearest working day) is not known here"),
        ("0 0 0 ? * *", "day", "'?' (any day) is not known here"),
        ("0 0 0 * * MON#2", "day of week", "'#' (the n-th weekday) is not known here"),
        ("0 0 0 * foo *", "month", "'foo' is not a number from 1 to 12 or an English name."),
        ("0 MON 0 * * *", "minute", "'MON' is not a number from 0 to 59."),
        ("0 */0 * * * *", "minute", "the step '0' after '/' is not a whole number of at least 1"),
        ("0 */ * * * *", "minute", "the step '' after '/'"),
        ("0 1,,2 * * * *", "minute", "'' is not a number"),
        ("0 -5 * * * *", "minute", "'' is not a number"),
        ("0 ٣ * * * *", "minute", "'٣' is not a number"),
    ],
)
def test_an_error_names_the_field_what_is_wrong_and_an_example(text, field, wrong):
    with pytest.raises(ScheduleError) as raised:
        Ncrontab(text)
    assert f"the {field} field '" in raised.value.message
    assert wrong in raised.value.message
    assert "0 30 2 * * MON-FRI" in raised.value.remedy


@pytest.mark.parametrize(("text", "count"), [("* * * *", 4), ("* * * * * * *", 7), ("daily", 1)])
def test_a_wrong_number_of_fields_is_said(text, count):
    with pytest.raises(ScheduleError, match=f"has {count} fields instead of six"):
        Ncrontab(text)


@pytest.mark.parametrize("text", ["0 0 0 30 2 *", "0 0 0 31 2,4,6,9,11 *"])
def test_a_date_that_never_comes_is_an_error(text):
    with pytest.raises(ScheduleError, match="no date fulfils"):
        Ncrontab(text)


def test_both_day_fields_must_hold():
    assert first("0 0 0 13 * FRI") == ["13.02.26 00:00:00", "13.03.26 00:00:00", "13.11.26 00:00:00"]


def test_the_next_occurrence_is_strictly_after():
    assert first("0 0 0 * * *", 1) == ["02.01.26 00:00:00"]
    assert first("* * * * * *", 1, THURSDAY.replace(microsecond=1)) == ["01.01.26 00:00:01"]


def test_leap_days_are_found_however_far_away():
    assert first("0 0 0 29 2 *", 1) == ["29.02.28 00:00:00"]
    [far] = itertools.islice(Ncrontab("0 0 0 29 2 MON").after(datetime(2072, 3, 1)), 1)
    assert far == datetime(2112, 2, 29), "2100 is no leap year"


@pytest.mark.parametrize(
    ("text", "is_interval"),
    [
        ("0 30 2 * * *", False),
        ("0 0,30 2 * * *", False),
        ("0 */30 2 * * *", False),
        ("0 0 */2 * * *", False),
        ("0 */30 * * * *", True),
        ("0 0 8-17 * * *", True),
        ("0 0 1,2 * * *", True),
        ("*/10 * 2 * * *", True),
        ("30 2 * * *", False),
        ("30 2-3 * * *", True),
        ("30 2 1-3 * *", False),
    ],
)
def test_intervals_are_told_from_points_in_time_as_the_real_host_does(text, is_interval):
    assert Ncrontab(text).is_interval is is_interval


def test_sub_minute_schedules_are_known():
    assert Ncrontab("0,30 * * * * *").is_sub_minute
    for text in ("30 * * * * *", "0,30 5 2 * * *", "* * * * *"):
        assert not Ncrontab(text).is_sub_minute
