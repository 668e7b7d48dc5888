"""The watchdog: what it sees of queues, dead letters and jobs, when that calls for a person, and what it cannot see."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from uuid import uuid4

import pytest
from azure.servicebus import ServiceBusMessage, ServiceBusMessageState

from jobs import backlogs, catalog, clock, dead_letters, ledger, stragglers, watchdog
from jobs.clients import clients
from jobs.entry import JobRef
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


class Ledger:
    """Rows of one kind, as old as a test wants them."""

    def __init__(self, kind: str) -> None:
        self.kind = kind

    async def put(self, age: timedelta, **more: str) -> str:
        """A job that was submitted, and if it says so, begun, so long ago."""
        at = ledger.written(clock.now() - age)
        held = {"not_before": more.pop("notBefore", None), "claim": more.pop("claim", None)}
        job = JobRef(self.kind, uuid4().hex, "c", at, **held)
        entry, _ = await ledger.submit(job, "digest")
        if more:
            row = {"startedAt": at, "runner": "r", "attempt": 1, **more}
            await ledger.merge(entry.job, entry.tag, row)
        return job.id


@pytest.fixture
def rows(monkeypatch):
    """A kind that no other test has jobs of, with a deadline of an hour."""
    kind = f"k{uuid4().hex[:8]}"
    order = catalog.KINDS["order"]
    monkeypatch.setitem(catalog.KINDS, kind, replace(order, name=kind))
    return Ledger(kind)


async def test_a_job_past_its_deadline_and_one_that_does_not_begin_are_found(rows):
    minute = timedelta(minutes=1)
    overdue = await rows.put(71 * minute, state="Running")
    await rows.put(69 * minute, state="Running")
    stalled = await rows.put(31 * minute)
    await rows.put(29 * minute)
    await rows.put(31 * minute, notBefore=ledger.written(clock.now() + minute))
    await rows.put(100 * minute, claim="order-import/x.jsonl#0-1")
    await rows.put(300 * minute, state="Completed")
    swept = await stragglers.sweep(AT_ONCE, None)
    assert swept.is_over
    found = {each.key: each for each in swept.conditions()}
    assert found[f"overdue:{rows.kind}"].figures == {"count": 1, "jobs": [overdue]}
    assert found[f"stalled:{rows.kind}"].figures == {"count": 1, "jobs": [stalled]}


async def test_a_long_sweep_goes_on_with_the_next_watch_and_finds_the_same(rows, monkeypatch, crashes):
    for _ in range(7):
        await rows.put(timedelta(hours=2), state="Running")
    monkeypatch.setattr(stragglers, "PAGE", 2)
    monkeypatch.setattr(stragglers, "MOST_PAGES", 2)
    for _ in range(200):
        crashes.calls.clear()
        swept = await stragglers.sweep(AT_ONCE, None)
        assert len(crashes.calls) <= 2 + 2
        if swept.is_over:
            break
    (found,) = (each for each in swept.conditions() if each.key == f"overdue:{rows.kind}")
    assert (found.figures["count"], len(found.figures["jobs"])) == (7, stragglers.MOST_NAMED)


@pytest.mark.parametrize("status", ["Terminated", "Failed", None])
async def test_a_job_whose_orchestration_has_stopped_is_ended_and_buried(rows, durable, bus, status):
    id = await rows.put(timedelta(hours=2), state="Running")
    arguments = {"job": {}, "input": {"currency": "EUR"}, "deadlineSeconds": 1}
    if status:
        durable.statuses[f"{rows.kind}-{id}"] = {"runtimeStatus": status, "input": arguments}
    swept = await stragglers.sweep(AT_ONCE, durable)
    assert f"overdue:{rows.kind}" not in swept.groups
    entry = await ledger.get(rows.kind, id)
    assert (entry.state, entry.is_buried) == ("Failed", True)
    assert entry.error["openCompensations"] == [stragglers.UNKNOWN], "nobody knows what a replay would do twice"
    (letter,) = bus.letters(jobId=id)
    assert letter.dead_letter_reason == entry.error["type"]
    await stragglers.sweep(AT_ONCE, durable)
    assert len(bus.letters(jobId=id)) == 1


async def test_a_job_that_was_stopped_before_it_began_is_ended_and_can_be_replayed(rows, durable, bus):
    minute = timedelta(minutes=1)
    stopped, waiting = await rows.put(31 * minute), await rows.put(31 * minute)
    arguments = {"job": {}, "input": {"currency": "EUR"}, "deadlineSeconds": 1}
    durable.statuses[f"{rows.kind}-{stopped}"] = {"runtimeStatus": "Terminated", "input": arguments}
    swept = await stragglers.sweep(AT_ONCE, durable)
    assert swept.groups[f"stalled:{rows.kind}"].jobs == [waiting]
    entry = await ledger.get(rows.kind, stopped)
    assert (entry.state, entry.error["type"], entry.is_buried) == ("Failed", "Terminated", True)
    assert "openCompensations" not in entry.error, "nothing was done"
    assert len(bus.letters(jobId=stopped)) == 1


async def test_a_job_that_was_stopped_while_it_waited_is_ended_within_the_hour(rows, durable, monkeypatch):
    now = clock.now()
    waits = {"state": "Running", "waitingFor": "carrier", "overdueAt": ledger.written(now + timedelta(days=30))}
    stopped, waiting = [await rows.put(timedelta(hours=2), **waits) for _ in range(2)]
    for id, status in ((stopped, "Terminated"), (waiting, "Running")):
        durable.statuses[f"{rows.kind}-{id}"] = {"runtimeStatus": status}
    for minutes in range(60):
        monkeypatch.setattr(clock, "now", lambda: now + timedelta(minutes=minutes))  # noqa: B023
        await stragglers.sweep(AT_ONCE, durable)
    assert [(await ledger.get(rows.kind, id)).state for id in (stopped, waiting)] == ["Failed", "Running"]


async def test_a_job_whose_orchestration_runs_is_left_alone(rows, durable):
    id = await rows.put(timedelta(hours=2), state="Running")
    durable.statuses[f"{rows.kind}-{id}"] = {"runtimeStatus": "Running"}
    swept = await stragglers.sweep(AT_ONCE, durable)
    assert swept.groups[f"overdue:{rows.kind}"].jobs == [id]
    assert (await ledger.get(rows.kind, id)).state == "Running"


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


async def test_it_costs_the_same_however_much_there_is(bus, crashes):
    await bury(40)
    await watch()
    crashes.calls.clear()
    await watch()
    assert len(crashes.calls) < 40
