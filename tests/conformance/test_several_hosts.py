"""Several hosts of one app: work is shared, timers fire once, whoever stops and starts (functions-host.md §6)."""

from __future__ import annotations

import base64
import sys
from collections import Counter
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from azure.storage.queue import QueueClient

from devhost.banner import function_list
from devhost.clock import VirtualClock
from tests.conformance.apps import DURABLE_APP, write_app
from tests.conformance.storage_host import new_name

BERLIN = ZoneInfo("Europe/Berlin")
ONE_AT_A_TIME = {"extensions": {"queues": {"batchSize": 1, "newBatchThreshold": 0}}}
TIMER = """
from shared import seen

@app.timer_trigger(arg_name="t", schedule="0 30 2 * * *")
def nightly(t: func.TimerRequest):
    seen.append((t.schedule_status["Next"], t.past_due))
"""


class Hosts:
    """Hosts of one app, on one clock."""

    def __init__(self, devhost_host, folder, **options) -> None:
        self.clock = VirtualClock()
        self.running, self.started = [], []
        self._start = lambda: devhost_host(folder, clock=self.clock, **options)

    @property
    def ran(self) -> Counter:
        """How often each function ran, on whichever host; all succeeded."""
        records = [record for host in self.started for record in host.invocations]
        assert {record.outcome for record in records} == {"Succeeded"}
        return Counter(record.function for record in records)

    def start(self, count: int = 1) -> None:
        for _ in range(count):
            self.running.append(self._start())
            self.started.append(self.running[-1])

    def stop(self, index: int) -> None:
        self.running.pop(index).stop()

    def advance(self, **span: float) -> None:
        self.running[0].advance(**span)


@pytest.fixture
def hosts(devhost_host, tmp_path, azurite):
    settings = {"AzureWebJobsStorage": azurite.connection_string, "TZ": "Europe/Berlin", "QUEUE": new_name()}
    options = {"settings": settings, "task_hub": tmp_path / "hub.sqlite3"}

    def make(source: str, **given) -> Hosts:
        return Hosts(devhost_host, write_app(tmp_path / "app", source, **given), **options)

    make.queue = settings["QUEUE"]

    return make


def nights(first: datetime, last: datetime) -> list[datetime]:
    """02:30 in Berlin, each night after one moment and up to another; 03:30 where there is no 02:30."""
    day, found = first.astimezone(BERLIN).date(), []
    while (moment := datetime(day.year, day.month, day.day, 2, 30, tzinfo=BERLIN).astimezone(UTC)) <= last:
        found += [moment.astimezone(BERLIN)] if moment > first else []
        day += timedelta(days=1)
    return found


def test_four_hundred_nights_on_three_hosts_which_come_and_go(hosts):
    hosts = hosts(TIMER, shared="seen = []")
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
    assert sys.modules["shared"].seen == [(moment.isoformat(), False) for moment in expected]
    assert hosts.ran == {"nightly": len(expected)}
    assert len({moment.utcoffset() for moment in expected}) == 2, "both changes of the clock are among them"


def test_the_list_of_functions_says_which_timers_another_host_runs(hosts):
    hosts = hosts(TIMER, shared="seen = []")
    hosts.start(2)
    first, second = (function_list(host.app) for host in hosts.running)
    assert "another host" not in first
    assert "Run by another host of this app: nightly. This one takes over when that ends" in second
    assert "if it was killed, within 60 s" in second


def test_what_all_hosts_missed_is_run_once_and_past_due(hosts):
    hosts = hosts(TIMER, shared="seen = []")
    hosts.start(2)
    hosts.advance(days=2)
    hosts.stop(1)
    hosts.stop(0)
    stopped = hosts.clock.now()
    hosts.clock.jump_to(stopped + timedelta(days=5))
    hosts.start(3)
    hosts.advance(days=1)
    missed, *_, next = nights(stopped, hosts.clock.now())
    assert sys.modules["shared"].seen == [(missed.isoformat(), True), (next.isoformat(), False)]
    assert hosts.ran == {"nightly": 4}


SHARED = """
import datetime
from shared import taken

@app.queue_trigger(arg_name="m", queue_name="%QUEUE%", connection="AzureWebJobsStorage")
@app.durable_client_input(client_name="client")
async def take(m: func.QueueMessage, client):
    await client.start_new("wait", instance_id=m.get_body().decode())

@app.orchestration_trigger(context_name="context")
def wait(context):
    yield context.create_timer(context.current_utc_datetime + datetime.timedelta(days=2))
    yield context.call_activity("note", context.instance_id)

@app.activity_trigger(input_name="id")
def note(id: str):
    taken.append(id)
"""


def test_messages_and_instances_are_shared_and_survive_the_end_of_a_host(hosts, azurite):
    queue_name, hosts = hosts.queue, hosts(SHARED, head=DURABLE_APP, host=ONE_AT_A_TIME, shared="taken = []")
    hosts.start(3)
    ids = [f"i{number}" for number in range(12)]
    with QueueClient.from_connection_string(azurite.connection_string, queue_name) as queue:
        queue.create_queue()
        for id in ids:
            queue.send_message(base64.b64encode(id.encode()).decode())
    hosts.advance(days=1)
    hosts.stop(0)
    hosts.advance(hours=12)
    hosts.stop(0)
    hosts.advance(days=1)
    assert (hosts.ran["take"], hosts.ran["note"]) == (12, 12), "each once, on whichever host"
    assert sorted(sys.modules["shared"].taken) == sorted(ids)


def test_hosts_of_other_clocks_keep_to_themselves(devhost_host, tmp_path, azurite):
    folder = write_app(tmp_path, TIMER, shared="seen = []")
    settings = {"AzureWebJobsStorage": azurite.connection_string}
    one, other = (devhost_host(folder, settings=settings) for _ in range(2))
    one.advance(days=2)
    assert (len(one.invocations), len(other.invocations)) == (2, 0)
    other.advance(days=1)
    assert len(other.invocations) == 1, "neither lock nor status is shared"
