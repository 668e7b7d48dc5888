"""The watchdog: what it sees of queues and dead letters, when that calls for a person, and what it cannot see."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from azure.servicebus import ServiceBusMessage, ServiceBusMessageState

from jobs import alerts, backlogs, clock, dead_letters, finishing, stragglers, watchdog
from jobs.clients import clients
from jobs.errors import NotAJobError, ServiceBusUnavailableError
from jobs.settings import settings
from jobs.watchdog import watch

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("no_alerts", "storage", "bus")]

AT_ONCE = timedelta(0)


async def bury(count: int) -> None:
    for number in range(count):
        await dead_letters.bury_message("storage:jobs", f"m-{number}", b"", NotAJobError("no job"))


def limit(monkeypatch, **limits: str) -> None:
    for name, value in limits.items():
        monkeypatch.setenv(name, value)
    settings.cache_clear()


async def watch_until_clear(monkeypatch) -> watchdog.Report:
    """The report of a watch when what this one does not see has been gone for long enough."""
    await watch()
    later = clock.now() + timedelta(seconds=settings().alert_quiet_time + 1)
    with monkeypatch.context() as patched:
        patched.setattr(clock, "now", lambda: later)
        return await watch()


async def test_dead_letters_are_counted_by_queue(bus):
    await bury(3)
    bus.letters()[1].enqueued_time_utc -= timedelta(hours=2)
    [poison, *others] = await backlogs.dead_letters()
    assert (poison.depth, 7200 <= poison.oldest < 7300, poison.is_more) == (3, True, False)
    assert [each.queue for each in others] == ["jobs", "order-events", "deliveries"]
    assert {(each.depth, each.oldest) for each in others} == {(0, None)}


async def test_no_more_dead_letters_are_looked_at_than_are_too_many(bus, crashes, monkeypatch):
    await bury(20)
    limit(monkeypatch, DEAD_LETTER_ALERT_DEPTH="4")
    poison = (await backlogs.dead_letters())[0]
    assert (poison.depth, poison.is_more) == (5, True)
    assert crashes.calls.count("peek") <= len(backlogs.letters.QUEUES)


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
async def test_too_many_or_too_old_dead_letters_call_for_a_person(bus, monkeypatch, limits, is_alarming):
    limit(monkeypatch, **limits)
    await bury(3)
    bus.letters()[1].enqueued_time_utc -= timedelta(hours=2)
    found = backlogs.dead_letter_alerts(await backlogs.dead_letters())
    assert [each.key for each in found] == (["dead-letters:poison-jobs"] if is_alarming else [])


async def test_a_message_that_waits_too_long_calls_for_a_person(monkeypatch):
    async with clients().queue("jobs-poison") as queue:
        message = await queue.send_message("not looked at")
    try:
        at_first = next(each for each in await backlogs.storage_queues() if each.queue == "jobs-poison")
        assert at_first.depth >= 1
        monkeypatch.setattr(clock, "now", lambda now=clock.now: now() + timedelta(minutes=20))
        found = backlogs.queue_alerts(await backlogs.storage_queues())
        assert "queue:jobs-poison" in [each.key for each in found]
    finally:
        await clients().queue("jobs-poison").delete_message(message)


async def test_what_is_held_back_until_later_does_not_wait(bus):
    queue = bus.queues["jobs"]
    for number in range(3):
        bus.put(queue, ServiceBusMessage(b"{}"), detects_duplicates=False)
        queue.active[number].enqueued_time_utc -= timedelta(hours=1)
    queue.active[0].state = queue.active[1].state = ServiceBusMessageState.SCHEDULED
    found = await backlogs.bus_queue()
    assert (found.queue, found.depth, 3600 <= found.oldest < 3700) == ("servicebus:jobs", 1, True)


async def test_what_it_cannot_see_is_an_alert_and_the_rest_is_seen(bus, monkeypatch, caplog):
    async def away():
        raise ServiceBusUnavailableError("away")

    with monkeypatch.context() as patched:
        patched.setattr(backlogs, "dead_letters", away)
        report = await watch()
    assert "blind:dead letters" in report.alerts
    assert report.queues and not report.dead_letters
    assert "blind:dead letters" not in (await watch_until_clear(monkeypatch)).alerts
    events = [json.loads(record.message)["event"] for record in caplog.records if record.name == "nightshift"]
    assert "WatchFailed" in events


@pytest.mark.parametrize("row", [{"groups": "{", "continuation": "null"}, {"groups": "[]", "continuation": "null"}, {}])
async def test_a_sweep_of_which_nothing_can_be_read_begins_anew(bus, row):
    await clients().table("schedules").upsert_entity({**stragglers.SWEEP, **row})
    assert not any(alert.startswith("blind") for alert in (await watch()).alerts)


async def test_what_nobody_foresaw_keeps_the_watch_from_nothing_else(bus, monkeypatch):
    async def broken(*_) -> None:
        raise KeyError("digest")

    with monkeypatch.context() as patched:
        patched.setattr(stragglers, "sweep", broken)
        report = await watch()
    assert "blind:jobs" in report.alerts
    assert report.queues and report.dead_letters
    assert "blind:jobs" not in (await watch_until_clear(monkeypatch)).alerts


async def test_what_cannot_be_finished_is_an_alert_and_the_rest_is_seen(bus, monkeypatch):
    sweep = stragglers.sweep

    async def hindered(*_):
        swept = await sweep(*_)
        left = finishing.Group(2, ["a"])
        swept.finisher.hindrances["deliveries"] = finishing.Hindrance("ServiceBusUnavailableError", left)
        return swept

    with monkeypatch.context() as patched:
        patched.setattr(stragglers, "sweep", hindered)
        report = await watch()
    assert "unfinished:deliveries" in report.alerts
    (alert,) = [each for each in await alerts.active() if each.key == "unfinished:deliveries"]
    assert alert.figures == {"error": "ServiceBusUnavailableError", "count": 2, "jobs": ["a"]}
    assert "unfinished:deliveries" not in (await watch_until_clear(monkeypatch)).alerts


async def test_it_costs_the_same_however_much_there_is(bus, crashes):
    await bury(40)
    await watch()
    crashes.calls.clear()
    await watch()
    assert len(crashes.calls) < 40
