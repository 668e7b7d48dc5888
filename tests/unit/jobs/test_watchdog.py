"""The watchdog: its figures, and when they call for a person."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from jobs import dead_letters
from jobs.errors import NotAJobError
from jobs.settings import settings
from jobs.watchdog import watch

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("storage")]


@pytest.fixture
async def three(bus) -> None:
    """Three dead letters, and none of what other tests have left in the ledger."""
    await watch(timedelta(0))
    bus.queues["poison-jobs"].dead.clear()
    for number in range(3):
        await dead_letters.bury_message("storage:jobs", f"m-{number}", b"", NotAJobError("no job"))


def alerts(caplog) -> list[dict]:
    lines = [json.loads(record.message) for record in caplog.records if record.name == "nightshift"]
    return [line for line in lines if line["event"] == "Alert"]


async def test_it_counts_by_queue(bus, three):
    bus.letters()[1].enqueued_time_utc -= timedelta(hours=2)
    [poison, *others] = (await watch()).queues
    assert (poison.depth, 7200 <= poison.oldest < 7300) == (3, True)
    assert [(each.queue, each.depth, each.oldest) for each in others] == [("jobs", 0, None), ("order-events", 0, None)]


@pytest.mark.parametrize(
    ("limits", "is_alarming"),
    [
        ({}, False),
        ({"DEAD_LETTER_ALERT_DEPTH": "3"}, False),
        ({"DEAD_LETTER_ALERT_DEPTH": "2"}, True),
        ({"DEAD_LETTER_ALERT_AGE": "7100"}, True),
        ({"DEAD_LETTER_ALERT_AGE": "7300"}, False),
    ],
)
async def test_too_many_or_too_old_ones_call_for_a_person(bus, three, caplog, monkeypatch, limits, is_alarming):
    for name, value in limits.items():
        monkeypatch.setenv(name, value)
    settings.cache_clear()
    bus.letters()[1].enqueued_time_utc -= timedelta(hours=2)
    report = await watch()
    assert report.alerts == (["poison-jobs"] if is_alarming else [])
    assert [alert["queue"] for alert in alerts(caplog)] == report.alerts
