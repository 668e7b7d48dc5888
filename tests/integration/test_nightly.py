"""The nightly report through the whole app over virtual time: three hosts, one report for each day, none forgotten."""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from azure.data.tables import TableServiceClient

from devhost.clock import VirtualClock
from devhost.testing import TestHost
from tests.conftest import ROOT

BERLIN = ZoneInfo("Europe/Berlin")
DAY = timedelta(days=1)
DOOR = "nightly_sales_report"
JOB = ("sales_report", "find_sales", "report_shard", "merge_report", "mail_report", "delete_parts", "end_job")
LISTS = ("list_schedules", "list_jobs")


class Fleet:
    """Hosts of the app that share a clock, storage and a task hub."""

    def __init__(self, start: Callable[..., TestHost], monkeypatch: pytest.MonkeyPatch, **options) -> None:
        self.clock = VirtualClock()
        self._start = start
        self._monkeypatch = monkeypatch
        self._options = options
        self.hosts: list[TestHost] = []

    def start(self, count: int, *functions: str) -> TestHost:
        """Start so many more, and return the last."""
        _forget_settings()
        for _ in range(count):
            self.hosts.append(self._start(ROOT, functions=list(functions), clock=self.clock, **self._options))
        self._monkeypatch.setattr(sys.modules["jobs.clock"], "now", self.clock.now)
        self._monkeypatch.setattr(sys.modules["jobs.clock"], "zone", lambda: BERLIN)
        return self.hosts[-1]

    def stop(self, count: int) -> None:
        """Stop the so many that were started first. The last of all lets go of the connections that they share."""
        for _ in range(count):
            host = self.hosts.pop(0)
            if not self.hosts:
                host.call(_close, sys.modules["jobs.clients"])
            host.stop()

    def advance_to(self, day: date, hour: int) -> None:
        """Let it become that hour in Berlin; without hosts it just is."""
        moment = datetime.combine(day, time(hour), BERLIN).astimezone(UTC)
        if self.hosts:
            self.hosts[-1].advance(moment - self.clock.now())
        else:
            self.clock.jump_to(moment)


def _forget_settings() -> None:
    """Those that a test of a part of the app has read."""
    if "jobs.settings" in sys.modules:
        sys.modules["jobs.settings"].settings.cache_clear()


async def _close(clients) -> None:
    await clients.clients().close()


@pytest.fixture
def fleet(devhost_host, shop_settings, sandbox, tmp_path, monkeypatch):
    """Three hosts at a time, of an app whose schedules nobody has known before."""
    _clear(shop_settings, "schedules", DOOR)
    settings = {**shop_settings, "TZ": "Europe/Berlin"}
    fleet = Fleet(devhost_host, monkeypatch, settings=settings, task_hub=tmp_path / "hub.sqlite3")
    yield fleet
    fleet.stop(len(fleet.hosts))
    _forget_settings()
    # They came in the future, and a test that lists what came since it began would find them.
    _clear(shop_settings, "jobs", "sales-report")


def _clear(settings: dict[str, str], table: str, partition: str) -> None:
    with TableServiceClient.from_connection_string(settings["AzureWebJobsStorage"]) as service:
        there = service.create_table_if_not_exists(table)
        for row in list(there.query_entities(f"PartitionKey eq '{partition}'")):
            there.delete_entity(row)


def seen(host: TestHost) -> dict:
    return next(each for each in host.get("/api/schedules").json()["schedules"] if each["name"] == DOOR)


def reported(host: TestHost, first: date) -> list[str]:
    """The days from then on that have a report."""
    listed = host.get("/api/jobs?kind=sales-report&top=1000").json()["jobs"]
    jobs = [job for job in listed if job["id"] >= first.isoformat()]
    assert {job["status"] for job in jobs} == {"Completed"}
    return [job["id"] for job in jobs]


@pytest.mark.parametrize("month", [3, 10], ids=["to summer time", "to standard time"])
def test_each_day_has_one_report_whatever_happens_to_clocks_and_hosts(fleet, month):
    change = date(datetime.now(UTC).year + 1, month, 31)
    change -= DAY * ((change.weekday() + 1) % 7)
    days = [change + DAY * number for number in range(-2, 5)]
    fleet.advance_to(days[0], 12)
    host = fleet.start(3, DOOR, *JOB, *LISTS)
    for day in days[1:3]:
        fleet.advance_to(day, 4)
    assert reported(host, days[0]) == [day.isoformat() for day in days[:2]]
    assert seen(host)["state"] == "ok"

    # The one that has the timer goes, and another has it.
    fleet.stop(1)
    fleet.advance_to(days[3], 4)
    assert reported(host, days[0]) == [day.isoformat() for day in days[:3]]

    # Two nights without any host; then one that has no timer sees it.
    fleet.stop(2)
    fleet.advance_to(days[5], 4)
    missed = seen(fleet.start(1, *LISTS))
    assert (missed["state"], len(missed["missed"])) == ("missed", 2)
    # It stays, since the app's modules, in which the clock is replaced, are loaded as long as any host runs.
    host = fleet.start(1, DOOR, *JOB, *LISTS)
    host.drain()
    assert reported(host, days[0]) == [day.isoformat() for day in days[:5]]
    assert (seen(host)["state"], seen(host)["missed"]) == ("ok", [])
    fleet.advance_to(days[6], 4)
    assert reported(host, days[0]) == [day.isoformat() for day in days[:6]]
    for runs in fleet.hosts:
        assert runs.failures == []
