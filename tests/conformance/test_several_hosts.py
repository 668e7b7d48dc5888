"""Several hosts of one app: work is shared, timers fire once, whoever stops and starts (functions-host.md §6)."""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from devhost.clock import VirtualClock
from tests.conformance.apps import write_app
from tests.conformance.storage_host import new_name

BERLIN = ZoneInfo("Europe/Berlin")
TIMER = """
@app.timer_trigger(arg_name="t", schedule="0 30 2 * * *")
def nightly(t: func.TimerRequest): ...
"""


class Hosts:
    """Three hosts of one app, on one clock, and what they ran."""

    def __init__(self, devhost_host, folder, settings) -> None:
        self.clock = VirtualClock()
        self.records: list = []
        self._start = lambda: devhost_host(folder, clock=self.clock, settings=settings)
        self.running = []

    def start(self, count: int = 1) -> None:
        for _ in range(count):
            host = self._start()
            host.call(host.app.invoker.observers.append, lambda record: self.records.append((record, self.clock.now())))
            self.running.append(host)

    def stop(self, index: int) -> None:
        self.running.pop(index).stop()

    def advance(self, **span: float) -> None:
        self.running[0].advance(**span)


@pytest.fixture
def hosts(devhost_host, tmp_path, azurite):
    settings = {"AzureWebJobsStorage": azurite.connection_string, "TZ": "Europe/Berlin", "QUEUE": new_name()}

    def make(source: str, **given) -> Hosts:
        return Hosts(devhost_host, write_app(tmp_path, source, **given), settings)

    return make


def nights(first: datetime, last: datetime) -> list[datetime]:
    """02:30 in Berlin, each night after one moment and up to another; 03:30 where there is no 02:30."""
    day, found = first.astimezone(BERLIN).date(), []
    while (moment := datetime(day.year, day.month, day.day, 2, 30, tzinfo=BERLIN).astimezone(UTC)) <= last:
        found += [moment] if moment > first else []
        day += timedelta(days=1)
    return found


def test_four_hundred_nights_on_three_hosts_which_come_and_go(hosts):
    hosts = hosts(TIMER)
    began = hosts.clock.now()
    hosts.start(3)
    for _ in range(4):
        hosts.advance(days=30)
        hosts.stop(0)  # mostly the one that holds the lock
        hosts.advance(days=40)
        hosts.start()
        hosts.stop(1)
        hosts.advance(days=30)
        hosts.start()
    expected = nights(began, hosts.clock.now())
    assert len(expected) in (399, 400)
    assert [record.outcome for record, _ in hosts.records] == ["Succeeded"] * len(expected)
    late = [fired - due for (_, fired), due in zip(hosts.records, expected, strict=True)]
    assert timedelta() <= min(late) and max(late) < timedelta(seconds=30)
    offsets = {moment.astimezone(BERLIN).utcoffset() for moment in expected}
    assert len(offsets) == 2, "both changes of the clock are among them"


def test_what_all_hosts_missed_is_run_once_and_past_due(hosts):
    hosts = hosts("""
    from shared import seen

    @app.timer_trigger(arg_name="t", schedule="0 30 2 * * *")
    def nightly(t: func.TimerRequest):
        seen.append((t.past_due, t.schedule_status["Next"]))
    """, shared="seen = []")  # fmt: skip
    hosts.start(2)
    hosts.advance(days=2)
    hosts.stop(1)
    hosts.stop(0)
    missed = hosts.clock.now()
    hosts.clock.jump_to(missed + timedelta(days=5))
    hosts.start(3)
    hosts.advance(days=1)
    first = nights(missed, missed + timedelta(days=1))[0].astimezone(BERLIN).isoformat()
    assert [record.outcome for record, _ in hosts.records] == ["Succeeded"] * 4
    seen = sys.modules["shared"].seen
    assert seen[0] == (True, first)
    assert [past_due for past_due, _ in seen] == [True, False]
