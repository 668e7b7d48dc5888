"""The timer trigger on Azurite, against functions-host.md §6 and §2.2."""

from __future__ import annotations

import asyncio
import json
import logging
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import azure.functions as func
import pytest

from devhost.azurite import Azurite
from devhost.errors import HostJsonError
from devhost.host_json import HostJson
from devhost.indexer import index
from devhost.listeners.timer import timer_data
from devhost.listeners.timer_status import ScheduleStatus, StatusBlob
from devhost.schedule import read_schedule
from devhost.settings import Settings
from devhost.singleton import HOSTS_CONTAINER, SingletonLock, lock_period
from tests.conformance.storage_host import StorageHost, running, until

pytestmark = pytest.mark.anyio
BERLIN = {"TZ": "Europe/Berlin"}


def timer_app(work, schedule="0 30 2 * * *", retry=None, **options):
    """An app with one timer, `work(t)`."""
    app = func.FunctionApp()
    builder = app.function_name("work")(app.timer_trigger(arg_name="t", schedule=schedule, **options)(work))
    if retry:
        app.retry(**retry)(builder)
    return app


def seen_by(seen):
    def work(t: func.TimerRequest):
        seen.append(t)

    return work


async def pass_time(host, **span):
    """Virtual time goes by; what is due on the way has ended."""
    target = host.clock.now() + timedelta(**span)
    await host.drain()
    while (due := host.clock.next_sleeper()) is not None and due <= target:
        host.clock.jump_to(due)
        await host.drain()
    host.clock.jump_to(target)
    await host.drain()


async def stored(host):
    blob = await host.storage.blob_service().read(HOSTS_CONTAINER, f"timers/{host.id}/Host.Functions.work/status")
    return json.loads(blob.content)


async def store(azurite, last, next):
    """A status of another host, and that host's id."""
    host = StorageHost(azurite.connection_string, {}, {"TZ": "UTC"})
    await host.storage.blob_service().create_container(HOSTS_CONTAINER)
    await StatusBlob(host, "work", UTC).save(ScheduleStatus(last, next, last))
    await host.close()
    return host.id


def night(moment):
    """The first 01:30 UTC after a moment."""
    found = moment.replace(hour=1, minute=30, second=0, microsecond=0)
    return found if found > moment else found + timedelta(days=1)


def text(moment):
    return moment.strftime("%Y-%m-%dT%H:%M:%S+00:00")


async def test_each_occurrence_fires_and_the_request_says_which(azurite, caplog):
    caplog.set_level(logging.INFO)
    seen = []
    async with running(azurite.connection_string, timer_app(seen_by(seen), "0 30 1 * * *"), TZ="UTC") as host:
        first = night(host.clock.now())
        await host.drain()
        assert (await stored(host))["Next"] == text(first), "noted at once, so that even the first cannot be missed"
        await pass_time(host, days=3)
        status = await stored(host)
    expected = [first + timedelta(days=days) for days in range(3)]
    assert [t.schedule_status["Next"] for t in seen] == [text(moment) for moment in expected]
    assert [t.past_due for t in seen] == [False] * 3
    assert seen[0].schedule == {"AdjustForDST": True}
    assert seen[0].schedule_status["Last"].startswith("0001-01-01T00:00:00")
    assert seen[1].schedule_status["Last"].startswith(text(first)[:19])
    assert status["Last"] == status["LastUpdated"] and status["Last"].startswith(text(expected[2])[:19])
    assert status["Next"] == text(expected[2] + timedelta(days=1))
    [record, *_] = host.records
    fired = first.strftime("%Y-%m-%dT%H:%M:%S")
    assert f"Executing 'Functions.work' (Reason='Timer fired at {fired}." in caplog.text
    assert f"Executed 'Functions.work' (Succeeded, Id={record.id}, Duration=" in caplog.text
    assert "UnscheduledInvocationReason" not in caplog.text


async def test_the_next_occurrences_are_said_at_the_start_in_local_time(azurite, caplog):
    caplog.set_level(logging.INFO)
    async with running(azurite.connection_string, timer_app(seen_by([]), "0 0 12 1 7 *"), **BERLIN) as host:
        await host.drain()
        year = host.clock.now().year
        year += host.clock.now() > datetime(year, 7, 1, 10, tzinfo=UTC)
    assert "The next 5 occurrences of the 'work' schedule (Cron: '0 0 12 1 7 *') will be:\n" in caplog.text
    assert f"07/01/{year + 4} 12:00:00+02:00 (07/01/{year + 4} 10:00:00Z)" in caplog.text


async def test_schedules_below_a_minute_keep_no_status(azurite):
    seen = []
    async with running(azurite.connection_string, timer_app(seen_by(seen), "*/20 * * * * *")) as host:
        await pass_time(host, minutes=1)
        with pytest.raises(Exception, match="BlobNotFound"):
            await stored(host)
    assert len(seen) == 3
    assert seen[0].schedule_status == {}


async def test_time_spans_are_fixed_intervals_without_summer_time(azurite):
    seen, moments = [], []

    def work(t: func.TimerRequest):
        seen.append(t)
        moments.append(host.clock.now())

    async with running(azurite.connection_string, timer_app(work, "01:00:00"), **BERLIN) as host:
        began = host.clock.now()
        await pass_time(host, hours=3, seconds=30)
    assert [round((moment - began) / timedelta(hours=1), 1) for moment in moments] == [1, 2, 3]
    assert seen[0].schedule == {"AdjustForDST": False}


async def test_a_missed_occurrence_is_past_due_once(azurite, caplog):
    caplog.set_level(logging.INFO)
    seen = []
    app = timer_app(seen_by(seen), "0 30 1 * * *", run_on_startup=True)
    last = night(datetime.now(UTC)) - timedelta(days=5)
    host_id = await store(azurite, last, last + timedelta(days=1))
    async with running(azurite.connection_string, app, host_id=host_id, TZ="UTC") as host:
        await host.drain()
        assert [(t.past_due, t.schedule_status["Next"]) for t in seen] == [(True, text(last + timedelta(days=1)))]
        assert (await stored(host))["Next"] == text(last + timedelta(days=5))
    original = (last + timedelta(days=1)).strftime("%Y-%m-%dT%H:%M:%S.0000000+00:00")
    assert f"Trigger Details: UnscheduledInvocationReason: IsPastDue, OriginalSchedule: {original}" in caplog.text


async def test_a_changed_schedule_is_not_past_due(azurite):
    seen = []
    last = night(datetime.now(UTC)) - timedelta(days=5)
    host_id = await store(azurite, last, last + timedelta(minutes=5))
    app = timer_app(seen_by(seen), "0 30 1 * * *")
    async with running(azurite.connection_string, app, host_id=host_id, TZ="UTC") as host:
        await host.drain()
        assert (await stored(host))["Next"] == text(last + timedelta(days=5))
    assert seen == []


async def test_a_status_that_cannot_be_read_is_made_anew(azurite, caplog):
    seen = []
    host_id = await store(azurite, datetime.now(UTC), datetime.now(UTC))
    async with running(azurite.connection_string, timer_app(seen_by(seen)), host_id=host_id) as host:
        await host.drain()
        name = f"timers/{host_id}/Host.Functions.work/status"
        for content in (b"{}", b"[" * 100_000):
            await host.storage.blob_service().write(HOSTS_CONTAINER, name, content)
            await host.listeners[0].stop()
            await host.listeners[0].start()
            await host.drain()
            assert (await stored(host))["Next"]
    assert "cannot be read and is made anew" in caplog.text
    assert seen == []


async def test_run_on_startup_runs_at_once_and_is_not_past_due(azurite, caplog):
    caplog.set_level(logging.INFO)
    seen = []
    async with running(azurite.connection_string, timer_app(seen_by(seen), run_on_startup=True)) as host:
        await host.drain()
    assert [t.past_due for t in seen] == [False]
    assert "Trigger Details: UnscheduledInvocationReason: RunOnStartup" in caplog.text


async def test_without_monitor_nothing_is_stored(azurite):
    seen = []
    async with running(azurite.connection_string, timer_app(seen_by(seen), use_monitor=False)) as host:
        await pass_time(host, days=2)
        with pytest.raises(Exception, match="BlobNotFound"):
            await stored(host)
    assert [t.schedule_status for t in seen] == [{}, {}]


async def test_a_failure_is_logged_and_the_schedule_goes_on(azurite):
    def work(t: func.TimerRequest):
        raise ValueError("no")

    async with running(azurite.connection_string, timer_app(work, "0 30 1 * * *"), TZ="UTC") as host:
        first = night(host.clock.now())
        await pass_time(host, days=2)
        assert (await stored(host))["Next"] == text(first + timedelta(days=2)), "saved after a failure too"
    assert [record.outcome for record in host.records] == ["Failed"] * 2


async def test_a_retry_policy_repeats_the_run(azurite):
    seen = []

    def work(t: func.TimerRequest):
        seen.append(t.schedule_status["Next"])
        raise ValueError("no")

    retry = {"strategy": "fixed_delay", "max_retry_count": "2", "delay_interval": "00:00:00.01"}
    async with running(azurite.connection_string, timer_app(work, retry=retry)) as host:
        await pass_time(host, days=1)
    assert len(seen) == 3 and len(set(seen)) == 1


async def test_a_long_run_is_never_overlapped_and_what_it_missed_is_one_run(azurite):
    seen, go = [], asyncio.Event()

    async def work(t: func.TimerRequest):
        seen.append((t.past_due, t.schedule_status["Next"]))
        await go.wait()

    async with running(azurite.connection_string, timer_app(work, "0 30 1 * * *"), TZ="UTC") as host:
        first = night(host.clock.now())
        await host.drain()
        host.clock.jump_to(first)
        await until(lambda: seen)
        host.clock.jump_to(first + timedelta(days=4, hours=1))
        await asyncio.sleep(0.05)
        assert len(seen) == 1
        go.set()
        await host.drain()
        assert (await stored(host))["Next"] == text(first + timedelta(days=5))
    assert seen == [(False, text(first)), (False, text(first + timedelta(days=1)))]


async def test_stop_waits_for_the_run_and_frees_the_lock(azurite):
    began, go, seen = asyncio.Event(), asyncio.Event(), []

    async def work(t: func.TimerRequest):
        began.set()
        await go.wait()
        seen.append(t)

    async with running(azurite.connection_string, timer_app(work, run_on_startup=True)) as host:
        await began.wait()
        stopping = asyncio.create_task(host.listeners[0].stop())
        await asyncio.sleep(0.05)
        assert not stopping.done()
        go.set()
        await stopping
        assert len(seen) == 1
        async with running(azurite.connection_string, timer_app(work), host_id=host.id) as other:
            assert other.listeners[0]._lock.is_held


async def test_stop_leaves_what_came_due_during_the_run_to_the_next_start(azurite):
    seen, began, go = [], asyncio.Event(), asyncio.Event()

    async def work(t: func.TimerRequest):
        seen.append((t.past_due, t.schedule_status["Next"]))
        began.set()
        await go.wait()

    async with running(azurite.connection_string, timer_app(work, "0 30 1 * * *"), TZ="UTC") as host:
        first = night(host.clock.now())
        await host.drain()
        host.clock.jump_to(first)
        await began.wait()
        host.clock.jump_to(first + timedelta(days=1))
        stopping = asyncio.create_task(host.listeners[0].stop())
        await asyncio.sleep(0.05)
        go.set()
        await stopping
        assert seen == [(False, text(first))]
        await host.listeners[0].start()
        await host.drain()
    assert seen[1:] == [(True, text(first + timedelta(days=1)))]


async def test_who_lost_the_lock_fires_no_more_until_it_has_it_again(azurite, caplog):
    seen = []
    async with running(azurite.connection_string, timer_app(seen_by(seen))) as host:
        lock = host.listeners[0]._lock
        await lock._lease("break", **{"x-ms-lease-break-period": "0"})
        lock._period = 0.1  # as if half of it were over
        lock._stop_renewing()
        lock._renewal = asyncio.create_task(lock._renew())
        await lock.lost.wait()
        lock._period = 15
        assert "was lost; it is asked for again" in caplog.text
        await until(lambda: lock.is_held)
        await pass_time(host, days=2)
    assert len(seen) == 2


async def test_storage_may_go_away_and_come_back(tmp_path, request, caplog):
    seen, began, go = [], asyncio.Event(), asyncio.Event()

    async def work(t: func.TimerRequest):
        seen.append(t.past_due)
        began.set()
        await go.wait()

    azurite = Azurite(location=tmp_path, search_from=request.config.rootpath)
    await asyncio.to_thread(azurite.start)
    ports = azurite.ports
    try:
        async with running(azurite.connection_string, timer_app(work, "0 30 1 * * *"), TZ="UTC") as host:
            await host.drain()
            lock = host.listeners[0]._lock
            first = night(host.clock.now())
            host.clock.jump_to(first)
            await began.wait()
            await asyncio.to_thread(azurite.stop)
            go.set()
            await until(lambda: host.records)
            await until(lambda: host.outages.is_away(host.storage.blob_service().name))
            lock._held_until = 0.0  # as if the lease had run out
            lock.lost.set()
            await asyncio.sleep(0.1)
            azurite = Azurite(location=tmp_path, ports=ports, search_from=request.config.rootpath)
            await asyncio.to_thread(azurite.start)
            lock._freed.set()  # need not wait for the next attempt
            await until(lambda: lock.is_held)
            await host.drain()
            assert (await stored(host))["Next"] == text(first + timedelta(days=1))
    finally:
        await asyncio.to_thread(azurite.stop)
    assert seen == [False], "what has run is not past due, though nobody could note it"
    assert len([record for record in caplog.records if record.name == "devhost.outages"]) == 2


async def test_the_trigger_metadata_is_the_local_time(azurite):
    schedule = read_schedule("0 30 2 * * *", ZoneInfo("Europe/Berlin"))
    data = timer_data(schedule, None, datetime(2026, 7, 1, 12, tzinfo=UTC), ZoneInfo("Europe/Berlin"))
    assert data.metadata["TimerTrigger"].value == "07/01/2026 14:00:00"
    assert json.loads(data.value.value) == {
        "Schedule": {"AdjustForDST": True},
        "ScheduleStatus": None,
        "IsPastDue": False,
    }


async def test_the_lock_is_one_hosts_until_it_gives_it_up(azurite):
    host = StorageHost(azurite.connection_string, {}, {})
    one, two = SingletonLock(host, "a"), SingletonLock(host, "a")
    await one.acquire()
    assert not await two.try_acquire()
    assert await SingletonLock(host, "b").try_acquire()
    waiting = asyncio.create_task(two.acquire())
    await asyncio.sleep(0.05)
    assert one.is_held and not waiting.done()
    await one.release()
    assert two.is_trying, "so that nobody takes it for idle"
    async with asyncio.timeout(4.5):
        await waiting
    assert two.is_held and not one.is_held
    one._lease_id = two._lease_id  # an attempt whose answer was lost is found to have been one's own
    assert await one.try_acquire()
    await two.release()
    await host.close()


@pytest.mark.parametrize("period", ["00:00:14", "00:01:01", "soon"])
def test_a_period_out_of_range_is_said(period):
    with pytest.raises(HostJsonError, match=f"listenerLockPeriod is '{period}'"):
        lock_period(HostJson({"version": "2.0", "singleton": {"listenerLockPeriod": period}}))


def test_a_schedule_that_cannot_be_read_leaves_its_function_out():
    app = timer_app(seen_by([]), "0 0 0 * * 7")
    app.function_name("good")(app.timer_trigger(arg_name="t", schedule="%WHEN%")(seen_by([])))
    found = index(app.get_functions(), Settings({"WHEN": "0 0 0 * * *"}), HostJson({"version": "2.0"}))
    assert list(found.functions) == ["good"]
    [error] = found.errors
    assert "the day of week field '7' of the schedule '0 0 0 * * 7' is wrong" in str(error)
