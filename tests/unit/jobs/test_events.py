"""The events of jobs: what they say, that few messages to the bus carry many, and what happens when it is away."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from azure.servicebus.exceptions import MessageSizeExceededError, ServiceBusConnectionError
from cloudevents.core.bindings.amqp import AMQPMessage, from_amqp_event

from jobs import clock, event_stream, events
from jobs.clients import clients
from jobs.entry import Entry, JobRef
from jobs.errors import ServiceBusUnavailableError
from jobs.settings import settings
from tests.unit.jobs.fake_bus import Batch, Sender

pytestmark = pytest.mark.anyio
AT = "2026-01-02T10:00:00.000000Z"
JOB = JobRef("order", "A-1", "correlation", "2026-01-02T09:59:58.500000Z")
ENDED = Entry(JOB, "tag", "Completed", None, started_at=AT, completed_at="2026-01-02T10:00:03.000000Z", result={"a": 1})
FAILED = replace(
    ENDED, state="Failed", result=None, error={"type": "OutOfStock", "message": "x" * 5000, "retryable": False}
)


@pytest.fixture
def bus(bus, monkeypatch):
    """Configured, so that events are sent to it."""
    monkeypatch.setenv("AzureWebJobsServiceBus", "Endpoint=sb://127.0.0.1:1;UseDevelopmentEmulator=true;")
    settings.cache_clear()
    return bus


@pytest.fixture
def sent(monkeypatch):
    """How many messages each batch that was sent had."""
    sizes = []
    send = Sender.send_messages

    async def counted(sender, messages):
        sizes.append(len(messages))
        await send(sender, messages)

    monkeypatch.setattr(Sender, "send_messages", counted)
    return sizes


@pytest.fixture
def weather(monkeypatch):
    """The bus is away while `is_away`; the time, `now`, stands still."""
    state = SimpleNamespace(is_away=True, tries=0, now=datetime(2026, 1, 2, tzinfo=UTC))
    send = Sender.send_messages

    async def perhaps(sender, messages):
        state.tries += 1
        if state.is_away:
            raise ServiceBusConnectionError(message="connection lost")
        await send(sender, messages)

    monkeypatch.setattr(Sender, "send_messages", perhaps)
    monkeypatch.setattr(clock, "now", lambda: state.now)
    return state


def told(bus) -> list[dict]:
    return [json.loads(b"".join(message.body)) for message in bus.queues["job-events"].active]


def logged(caplog) -> list[dict]:
    lines = [json.loads(record.message) for record in caplog.records if record.name == "nightshift"]
    return [line for line in lines if line["event"].startswith("Events")]


async def test_what_a_job_tells_goes_in_its_order_with_what_waits_for_it(bus, sent):
    events.started(JOB, AT)
    events.progressed(JOB, "charge_payment", 40)
    await events.ended(ENDED)
    assert sent == [3]
    started, progressed, ended = told(bus)
    about = {"kind": "order", "id": "A-1", "correlationId": "correlation"}
    assert started["data"] == about | {"status": "Running", "waitSeconds": 1.5}
    assert progressed["data"] == about | {"status": "Running", "step": "charge_payment", "percent": 40}
    assert ended["data"] == about | {"status": "Completed", "waitSeconds": 1.5, "runSeconds": 3.0}
    assert [event["id"] for event in told(bus)] == [
        f"order-A-1@{AT}.started",
        "order-A-1@charge_payment.40",
        "order-A-1@2026-01-02T10:00:03.000000Z.completed",
    ]


async def test_they_are_cloud_events(bus):
    events.started(JOB, AT)
    events.progressed(JOB, "charge_payment", 40)
    await events.ended(FAILED)
    for message, label in zip(bus.queues["job-events"].active, ("started", "progressed", "failed"), strict=True):
        content_type = {"content-type": "application/cloudevents+json; charset=utf-8"}
        event = from_amqp_event(AMQPMessage(content_type, {}, b"".join(message.body)))
        assert (event.get_type(), event.get_source()) == (f"nightshift.job.{label}", "nightshift/jobs/order")
        assert (event.get_subject(), event.get_id()) == ("A-1", message.message_id)
        assert event.get_time().tzinfo is not None
        assert message.correlation_id == "correlation"


async def test_of_an_error_they_tell_no_more_than_is_needed(bus):
    await events.ended(FAILED)
    (event,) = told(bus)
    assert event["data"]["error"] == {"type": "OutOfStock", "message": "x" * 1000, "retryable": False}


async def test_the_longest_id_fits_into_a_message_and_each_event_has_its_own(bus):
    job = replace(JOB, kind="order-import", id="x" * 80, run=12)
    cancelled = replace(ENDED, job=job, state="Cancelled")
    for entry in (cancelled, replace(cancelled, completed_at=AT), cancelled):
        await events.ended(entry)
    first, second, third = (message.message_id for message in bus.queues["job-events"].active)
    assert len(first) <= 128 and first != second and first == third


async def test_what_nobody_waits_for_goes_by_itself_many_at_once(bus, sent, monkeypatch):
    monkeypatch.setattr(event_stream, "LINGER", 0.01)
    for percent in range(50):
        events.progressed(JOB, "step", percent)
    while not sent:
        await asyncio.sleep(0.005)
    assert sent == [50]


async def test_those_that_end_while_others_are_sent_go_together(bus, sent):
    entries = [replace(ENDED, job=replace(JOB, id=f"A-{number}")) for number in range(30)]
    await asyncio.gather(*map(events.ended, entries))
    assert len(told(bus)) == 30 and len(sent) <= 2


async def test_what_is_due_is_sent_before_the_connections_are_closed(bus):
    events.started(JOB, AT)
    await clients().close()
    assert len(told(bus)) == 1


async def test_a_batch_that_is_full_is_followed_by_another(bus, sent, monkeypatch):
    def add_message(batch, message):
        if len(batch) == 4:
            raise MessageSizeExceededError(message="full")
        batch.append(message)

    monkeypatch.setattr(Batch, "add_message", add_message)
    for percent in range(9):
        events.progressed(JOB, "step", percent)
    await events.ended(ENDED)
    assert sent == [4, 4, 2]


async def test_without_a_service_bus_nothing_is_told(storage):
    events.started(JOB, AT)
    events.progressed(JOB, "step", 1)
    await events.ended(ENDED)


async def test_a_bus_that_is_away_costs_one_line_and_the_events_that_nobody_waits_for(bus, weather, caplog):
    caplog.set_level("INFO", "nightshift")
    events.started(JOB, AT)
    events.progressed(JOB, "step", 50)
    for _ in range(3):
        with pytest.raises(ServiceBusUnavailableError, match="is it running"):
            await events.ended(ENDED)
    assert weather.tries == 1  # to find out takes seconds, so it is not asked again at once
    weather.now += timedelta(seconds=6)
    with pytest.raises(ServiceBusUnavailableError):
        await events.ended(ENDED)
    assert weather.tries == 2
    assert [line["event"] for line in logged(caplog)] == ["EventsUntold"]

    weather.is_away = False
    weather.now += timedelta(seconds=6)
    await events.ended(ENDED)
    assert [event["type"] for event in told(bus)] == ["nightshift.job.completed"]
    assert logged(caplog)[1:] == [{"event": "EventsToldAgain", "lost": 2}]


async def test_events_that_are_too_many_are_lost_not_kept(bus, monkeypatch, caplog):
    caplog.set_level("INFO", "nightshift")
    monkeypatch.setattr(event_stream, "MOST_DUE", 5)
    for percent in range(8):
        events.progressed(JOB, "step", percent)
    await events.ended(ENDED)
    assert len(told(bus)) == 6
    assert [line["lost"] for line in logged(caplog)] == [3]


async def test_who_waits_is_told_when_the_sending_dies(bus, crashes):
    crashes.die_at(1, after=False)
    waiting = asyncio.gather(events.ended(ENDED), return_exceptions=True)
    (died,) = await asyncio.wait_for(waiting, 5)
    assert type(died).__name__ == "Crash"


async def test_settings_that_are_wrong_keep_no_job_from_going_on(bus, monkeypatch, caplog):
    monkeypatch.setenv("SMTP_PORT", "1")
    monkeypatch.setenv("QUEUE_ALERT_DEPTH", "many")
    settings.cache_clear()
    events.started(JOB, AT)
    assert [line["error"] for line in logged(caplog)] == ["SettingMissingError"]
