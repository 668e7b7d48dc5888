"""When timers fire: time zones, changes of the clock, time spans (functions-host.md §6)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from devhost.errors import DevhostError
from devhost.ncrontab import ScheduleError
from devhost.schedule import local_zone, occurrences, read_schedule
from devhost.settings import Settings

BERLIN = ZoneInfo("Europe/Berlin")
SPRING = datetime(2026, 3, 29, 1, tzinfo=UTC)
"""When Berlin's clocks go from 02:00 to 03:00."""
AUTUMN = datetime(2026, 10, 25, 1, tzinfo=UTC)
"""When Berlin's clocks go from 03:00 back to 02:00."""


def fires(text: str, after: datetime, count: int, zone: ZoneInfo = BERLIN) -> list[str]:
    schedule = read_schedule(text, zone)
    return [f"{moment.astimezone(zone):%d. %H:%M%z}" for moment in occurrences(schedule, after, count)]


def test_a_point_in_time_is_not_lost_in_spring():
    assert fires("0 30 2 * * *", SPRING - timedelta(days=1), 3) == [
        "28. 02:30+0100",
        "29. 03:30+0200",
        "30. 02:30+0200",
    ]


@pytest.mark.parametrize("minutes", ["0,30", "0-10"])
def test_of_several_points_in_the_skipped_hour_the_first_comes_an_hour_later_and_the_others_are_lost(minutes):
    assert fires(f"0 {minutes} 2 * * *", SPRING - timedelta(hours=3), 2) == ["29. 03:00+0200", "30. 02:00+0200"]


def test_a_point_in_the_skipped_hour_is_lost_to_who_asks_after_the_change():
    assert fires("0 30 2 * * *", SPRING + timedelta(minutes=10), 1) == ["30. 02:30+0200"]


def test_a_point_in_time_fires_once_in_autumn():
    assert fires("0 30 2 * * *", AUTUMN - timedelta(days=1), 3) == [
        "25. 02:30+0200",
        "26. 02:30+0100",
        "27. 02:30+0100",
    ]
    assert fires("0 30 2 * * *", AUTUMN + timedelta(minutes=5), 1) == ["26. 02:30+0100"], "its time has been"


def test_an_interval_goes_on_through_both_changes():
    assert fires("0 */30 * * * *", SPRING - timedelta(minutes=40), 3) == [
        "29. 01:30+0100", "29. 03:00+0200", "29. 03:30+0200"
    ]  # fmt: skip
    assert fires("0 */30 * * * *", AUTUMN - timedelta(minutes=70), 6) == [
        "25. 02:00+0200", "25. 02:30+0200", "25. 02:00+0100", "25. 02:30+0100", "25. 03:00+0100", "25. 03:30+0100"
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "after", "moments"),
    [
        # Only in two of three hours of the night: the repeated hour is left out, an hour too early comes instead.
        ("0 */20 1-2 * * *", AUTUMN - timedelta(minutes=40), ["25. 02:40+0200", "26. 00:00+0100", "26. 01:00+0100"]),
        ("0 0 8-17 * * *", AUTUMN - timedelta(minutes=40), ["25. 07:00+0100", "25. 08:00+0100"]),
        # From winter the repeated hour is taken to have been.
        ("0 30 2 25 1,10 *", AUTUMN - timedelta(days=270), ["25. 02:30+0100", "25. 02:30+0200"]),
    ],
)
def test_the_real_hosts_slips_around_the_repeated_hour(text, after, moments):
    assert fires(text, after, len(moments)) == moments


def test_half_an_hours_change():
    lord_howe = ZoneInfo("Australia/Lord_Howe")
    assert fires("0 15 2 * * *", datetime(2026, 10, 3, tzinfo=UTC), 2, lord_howe) == [
        "04. 02:45+1100",
        "05. 02:15+1100",
    ]
    assert fires("0 */15 * * * *", datetime(2026, 4, 4, 14, 20, tzinfo=UTC), 5, lord_howe) == [
        "05. 01:30+1100", "05. 01:45+1100", "05. 01:30+1030", "05. 01:45+1030", "05. 02:00+1030"
    ]  # fmt: skip
    assert fires("0 45 1 * * *", datetime(2026, 4, 4, tzinfo=UTC), 2, lord_howe) == ["05. 01:45+1100", "06. 01:45+1030"]


def test_a_day_that_a_zone_leaves_out():
    samoa = ZoneInfo("Pacific/Apia")
    start = datetime(2011, 12, 29, tzinfo=samoa)
    assert fires("0 0 12 * * *", start, 3, samoa) == ["29. 12:00-1000", "31. 12:00+1400", "01. 12:00+1400"]


def admits(field: str, value: int) -> bool:
    """A field of the simple kind that `expressions` makes, read anew."""
    return any(holds(part, value) for part in field.split(","))


def holds(part: str, value: int) -> bool:
    if part.startswith("*"):
        return value % int(part.partition("/")[2] or 1) == 0
    first, _, last = part.partition("-")
    return int(first) <= value <= int(last or first)


def walk(text: str, start: datetime, minutes: int) -> list[datetime]:
    """Every occurrence, found by asking each minute; the changes of the clock by their definition."""
    fields = text.split()
    repeats = any(sign in fields[1] + fields[2] for sign in "*-") and is_run(fields)
    found, skipped = [], start >= SPRING
    for minute in range(1, minutes + 1):
        moment = start + timedelta(minutes=minute)
        wall = moment.astimezone(BERLIN)
        walls = [wall] if repeats or wall.fold == 0 else []
        if SPRING <= moment < SPRING + timedelta(hours=1) and not skipped:
            walls.append(wall - timedelta(hours=1))
        if any(
            admits(fields[1], w.minute) and admits(fields[2], w.hour) and admits(fields[3], w.day)
            and admits(fields[4], w.month) and admits(fields[5], (w.weekday() + 1) % 7)
            for w in walls
        ):  # fmt: skip
            found.append(moment)
            skipped = skipped or moment >= SPRING
    return found


def is_run(fields: list[str]) -> bool:
    """Whether two neighbouring minutes or hours are admitted: an interval in the real host's eyes."""
    return any(
        admits(field, value) and admits(field, value + 1)
        for field, most in ((fields[1], 59), (fields[2], 23))
        for value in range(most)
    )


def a_field(least: int, most: int) -> st.SearchStrategy[str]:
    value = st.integers(least, most)
    pair = st.tuples(value, value).map(lambda two: f"{min(two)}-{max(two)}")
    steps = st.integers(2, most).map(lambda step: f"*/{step}") if least == 0 else st.nothing()
    one = value.map(str) | pair | steps
    return st.just("*") | st.lists(one, min_size=1, max_size=3).map(",".join)


expressions = st.tuples(a_field(0, 59), a_field(0, 23), st.just("*") | a_field(24, 31), st.just("*"),
                        st.just("*") | a_field(0, 6)).map(lambda fields: "0 " + " ".join(fields))  # fmt: skip


@settings(max_examples=30, deadline=None)
@given(expressions, st.sampled_from([SPRING, AUTUMN, datetime(2026, 6, 24, tzinfo=UTC)]), st.integers(0, 900))
def test_the_search_finds_what_a_walk_over_every_minute_finds(text, around, minutes_before):
    start = around - timedelta(minutes=minutes_before)
    expected = walk(text, start, 36 * 60)[:200]
    assume(expected)
    fields = text.split()
    # Where an interval does not go on from the repeated hour into the next, the real host slips: see the test of that.
    goes_on = admits(fields[2], 3) and admits(fields[3], 25) and admits(fields[5], 0)
    begins_there = 0 < minutes_before <= 60 and not admits(fields[2], 2)
    assume(around is not AUTUMN or not is_run(fields) or (goes_on and not begins_there))
    assert occurrences(read_schedule(text, BERLIN), start, len(expected)) == expected


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("00:00:30", 30),
        ("01:02:03", 3723),
        ("1.00:00:00", 86400),
        ("24:00:00", 24 * 86400),
        ("00:00:00.5", 0.5),
        ("30.00:00:00", 30 * 86400),
        ("2", 2 * 86400),
        ("1:02:03:04", 93784),
    ],
)
def test_a_time_span_is_a_fixed_interval(text, seconds):
    schedule = read_schedule(text, BERLIN)
    moment = SPRING - timedelta(minutes=1)
    assert schedule.next(moment) == moment + timedelta(seconds=seconds)
    assert schedule.is_sub_minute is (seconds < 60)
    assert not schedule.adjusts_for_dst


@pytest.mark.parametrize("text", ["", "daily", "00:60:00", "00:00:00", "-00:05:00"])
def test_what_is_no_schedule_is_said_with_an_example(text):
    with pytest.raises(ScheduleError) as raised:
        read_schedule(text)
    assert "00:05:00" in raised.value.remedy


def test_the_time_zone_is_a_setting_or_the_machines(monkeypatch):
    assert local_zone(Settings({"TZ": ":Europe/Berlin", "WEBSITE_TIME_ZONE": "UTC"})) == BERLIN
    assert local_zone(Settings({"WEBSITE_TIME_ZONE": "Europe/Berlin"})) == BERLIN
    monkeypatch.setenv("TZ", "Asia/Kathmandu")
    assert str(local_zone(Settings({}))) == "Asia/Kathmandu"
    with pytest.raises(DevhostError, match="Mars/Olympus"):
        local_zone(Settings({"TZ": "Mars/Olympus"}))
