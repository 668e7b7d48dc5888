"""The HTTP door of schedules: an outer scheduler runs one, once for each occurrence."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from datetime import UTC, datetime
from uuid import uuid4
from zoneinfo import ZoneInfo

import pytest

from jobs import clock, schedules
from jobs.timetable import SCHEDULES, Schedule
from tests.unit.triggers.doors import ask, content

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("storage")]

NOW = datetime(2025, 7, 3, 10, tzinfo=UTC)


@pytest.fixture
def of(monkeypatch):
    """A schedule that no other test has, like the one of that name; it is ten o'clock in UTC, noon in Berlin."""
    monkeypatch.setattr(clock, "now", lambda: NOW)
    monkeypatch.setattr(clock, "zone", lambda: ZoneInfo("Europe/Berlin"))

    def of(name: str) -> Schedule:
        schedule = replace(SCHEDULES[name], name=f"s{uuid4().hex}")
        monkeypatch.setitem(SCHEDULES, schedule.name, schedule)
        return schedule

    return of


async def run(name: str, durable, wanted=None):
    body = b"" if wanted is None else json.dumps(wanted).encode()
    return await ask("run_schedule", durable, method="POST", body=body, name=name)


async def test_an_occurrence_is_run_once_whoever_asks_for_it(of, durable):
    schedule = of("nightly_sales_report")
    # One scheduler is punctual, one is late, one names the moment in another zone, one leaves it out.
    named = ["2025-07-03T00:00:00Z", "2025-07-03T00:00:41Z", "2025-07-03T02:00:00+02:00"]
    wanted = [{"scheduledAt": each} for each in named] + [None, {}]
    first = await run(schedule.name, durable, wanted[0])
    assert (first.status_code, first.headers["Location"]) == (202, "/api/jobs/sales-report/2025-07-02")
    others = await asyncio.gather(*(run(schedule.name, durable, each) for each in wanted))
    assert {other.status_code for other in others} == {200}
    shown = {
        "name": schedule.name,
        "scheduledAt": "2025-07-03T00:00:00.000000Z",
        "job": "/api/jobs/sales-report/2025-07-02",
    }
    assert [content(answer) for answer in (first, *others)] == [shown] * 6
    assert list(durable.started) == ["sales-report-2025-07-02"]


async def test_what_is_no_job_is_done_at_once_and_once(of, durable, monkeypatch):
    schedule, done = of("watchdog"), []

    async def watch(client) -> None:
        done.append(client)

    monkeypatch.setitem(schedules.ROUTINES, schedule.name, watch)
    answers = [await run(schedule.name, durable, {"scheduledAt": "2025-07-03T09:59:00Z"}) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 200]
    assert content(answers[0])["job"] is None
    assert done == [durable]


@pytest.mark.parametrize(
    "wanted",
    [
        {"scheduledAt": "2025-07-03T12:00:00Z"},
        {"scheduledAt": "2024-01-01T00:00:00Z"},
        {"scheduledAt": "0001-01-01T00:00:00+14:00"},
        {"scheduledAt": "2025-07-03T02:00:00"},
        {"scheduledAt": "yesterday"},
        {"scheduledAt": 1751508000},
        {"scheduledAt": "2025-07-03T00:00:00Z", "force": True},
        {"day": "2025-07-02"},
        [],
    ],
)
async def test_what_is_no_moment_of_the_past_year_is_refused(of, durable, wanted):
    answer = await run(of("nightly_sales_report").name, durable, wanted)
    assert (answer.status_code, content(answer)["errors"][0]["field"]) == (400, "scheduledAt")
    assert durable.started == {}


async def test_a_body_that_goes_on_is_refused(of, durable):
    answer = await run(of("nightly_sales_report").name, durable, {"scheduledAt": "2025-07-03T00:00:00Z" + " " * 2000})
    assert answer.status_code == 413


async def test_an_unknown_schedule_is_named_with_the_known_ones(durable):
    answer = await run("nightly", durable)
    assert answer.status_code == 404
    assert "nightly_retention" in content(answer)["detail"]
