"""A timer's status: its text, and what becomes of it when the schedule changes (functions-host.md §6)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from devhost.listeners.timer_status import NEVER, ScheduleStatus
from devhost.schedule import read_schedule

BERLIN = ZoneInfo("Europe/Berlin")
NOON = datetime(2026, 7, 1, 12, tzinfo=UTC)
DAILY = read_schedule("0 30 2 * * *", BERLIN)


def test_it_is_stored_in_local_time_with_the_offset():
    status = ScheduleStatus(NOON + timedelta(microseconds=1200), NOON, NEVER)
    document = status.document(BERLIN)
    assert document == {
        "Last": "2026-07-01T14:00:00.0012+02:00",
        "Next": "2026-07-01T14:00:00+02:00",
        "LastUpdated": "0001-01-01T00:00:00+00:00",
    }
    assert ScheduleStatus.of(document) == status


@pytest.mark.parametrize("never", ["0001-01-01T00:00:00", "0001-01-01T00:00:00+01:00", "0001-01-01T00:00:00Z"])
def test_dotnets_first_moment_means_never(never):
    seven_digits = "2026-07-01T14:00:00.0000001+02:00"
    assert ScheduleStatus.of({"Last": never, "Next": seven_digits, "LastUpdated": never}).last == NEVER


def test_a_status_of_the_same_schedule_stays():
    last = NOON - timedelta(days=3)
    status = ScheduleStatus(last, DAILY.next(last), last)
    assert status.checked(DAILY, NOON) is status, "past due: nothing of it is forgotten"
    status = ScheduleStatus(NEVER, DAILY.next(NOON), NOON)
    assert status.checked(DAILY, NOON + timedelta(days=9)) is status, "the first occurrence was missed"


@pytest.mark.parametrize("last", [NOON - timedelta(days=3), NOON - timedelta(minutes=1)])
def test_a_changed_schedule_is_not_past_due(last):
    status = ScheduleStatus(last, last + timedelta(minutes=2), last)
    changed = status.checked(DAILY, NOON)
    assert (changed.last, changed.next) == (NEVER, DAILY.next(NOON))
    assert changed.checked(DAILY, NOON) == changed


@pytest.mark.parametrize("last", ["9999-12-31T23:59:59.9999999-10:00", "9999-12-31T23:59:59Z"])
def test_a_status_after_which_nothing_comes_is_none(last):
    with pytest.raises(ValueError, match="9999"):
        ScheduleStatus.of({"Last": last, "Next": last, "LastUpdated": last})
