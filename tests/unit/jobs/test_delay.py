"""Delayed jobs: nothing starts early, nothing is lost, whichever door, clock or crash is in the way."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from uuid import uuid4

import pytest

from jobs import cancellation, intake, ledger, status
from jobs.clients import clients
from jobs.errors import InvalidInputError, ServiceBusUnavailableError
from jobs.intake import BusDelivery
from jobs.job import open_envelope, parse
from jobs.single_activity import Delivery
from tests.orders import order
from tests.unit.jobs.fake_bus import FakeBus, Sender

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("storage")]

NOON = datetime(2026, 12, 1, 12, tzinfo=UTC)
BEGINNING = NOON - timedelta(hours=1)
LATER = "2026-12-01T13:00:00+01:00"
"""Noon, as it is said in Berlin."""
INPUTS = {
    "order": order("c-1"),
    "mail": {"to": "ada@example.com", "subject": "Hello", "text": "Good evening"},
    "analytics": {"event": "seen", "properties": {"n": 1}},
}


made: list[tuple[str, str]] = []
"""Kind and id of the jobs of this test."""


@pytest.fixture(autouse=True)
async def _tidy(storage):
    """Other tests list what was submitted since they began, as would be for ever what these submit in the future."""
    yield
    for kind, id in made:
        await clients().table("jobs").delete_entity(kind, id)
    made.clear()


@pytest.fixture
async def queued(storage):
    """Call it for the messages in a storage queue, which it empties."""

    async def take(name: str = "jobs") -> list[dict]:
        queue = clients().queue(name)
        found = [json.loads(message.content) async for message in queue.receive_messages()]
        await queue.clear_messages()
        return found

    for name in ("jobs", "jobs-urgent"):
        await take(name)
    return take


def fields(kind: str, **more) -> dict:
    made.append((kind, uuid4().hex))
    return {"kind": kind, "id": made[-1][1], "input": INPUTS[kind], "notBefore": LATER, **more}


def job(kind: str, **more):
    return parse(open_envelope(fields(kind, **more)))


def delivery(queue: str = "jobs") -> Delivery:
    return Delivery(queue, uuid4().hex, attempt=1, is_last=False)


async def deliver(bus: FakeBus, durable) -> None:
    """Deliver what the bus holds back, at the time that it thinks is right."""
    (message,) = bus.queues["jobs"].active
    bus.queues["jobs"].active.clear()
    enqueued_at = ledger.written(message.scheduled_enqueue_time_utc)
    received = BusDelivery("jobs", message.message_id, 1, is_last=False, enqueued_at=enqueued_at)
    await intake.receive_from_bus(b"".join(message.body), received, durable)


async def by_http(fields: dict, durable) -> None:
    await intake.submit(parse(open_envelope(fields)), durable)


async def by_queue(fields: dict, durable) -> None:
    await intake.receive(json.dumps(fields).encode(), delivery(), durable)


async def by_bus(fields: dict, durable) -> None:
    received = BusDelivery("jobs", uuid4().hex, 1, is_last=False, enqueued_at=ledger.now())
    await intake.receive_from_bus(json.dumps(fields).encode(), received, durable)


@pytest.mark.parametrize("door", [by_http, by_queue, by_bus])
@pytest.mark.parametrize("kind", INPUTS)
async def test_it_waits_until_its_time_has_come(bus, durable, time, queued, door, kind):
    given = fields(kind)
    await door(given, durable)
    shown = await status.read(kind, given["id"], durable)
    assert (shown["status"], shown["notBefore"]) == ("Pending", "2026-12-01T12:00:00.000000Z")
    assert (durable.starts, await queued()) == (0, [])
    (message,) = bus.queues["jobs"].active
    assert NOON <= message.scheduled_enqueue_time_utc < NOON + timedelta(seconds=0.1)

    time.now = NOON
    await deliver(bus, durable)
    assert bus.queues["jobs"].active == []
    if kind == "order":
        started = durable.started[f"order-{given['id']}"]
        assert (started["input"]["lines"], started["job"]["not_before"]) == (
            given["input"]["lines"],
            shown["notBefore"],
        )
    else:
        (handed,) = await queued()
        assert (handed["id"], handed["input"]) == (given["id"], {} if kind == "mail" else given["input"])


async def test_what_is_sensitive_does_not_travel(bus, durable, time):
    for kind in ("order", "mail"):
        await by_queue(fields(kind), durable)
    text = b"".join(b"".join(message.body) for message in bus.queues["jobs"].active)
    assert b"ada@" not in text and b"tok_visa" not in text and b"Good evening" not in text


async def test_urgent_work_is_urgent_when_its_time_has_come(bus, durable, time, queued):
    given = fields("analytics")
    await intake.receive(json.dumps(given).encode(), delivery("jobs-urgent"), durable)
    time.now = NOON
    await deliver(bus, durable)
    assert [message["id"] for message in await queued("jobs-urgent")] == [given["id"]]


async def test_the_first_time_that_was_named_counts(bus, durable, time):
    first = fields("order")
    again = await intake.submit(parse(open_envelope(first)), durable)
    assert again.is_new
    changed = await intake.submit(parse(open_envelope(first | {"notBefore": "2026-12-24T00:00:00Z"})), durable)
    unsaid = await intake.submit(parse(open_envelope(first | {"notBefore": None})), durable)
    for repeated in (changed, unsaid):
        assert (repeated.is_new, repeated.entry.job.not_before) == (False, "2026-12-01T12:00:00.000000Z")
    assert durable.starts == 0


async def test_what_is_past_is_no_delay(bus, durable, time):
    submitted = job("order", notBefore="2026-11-30T00:00:00Z")
    await intake.submit(submitted, durable)
    assert (durable.starts, bus.queues["jobs"].active) == (1, [])


async def test_the_wait_counts_from_the_moment_it_was_due(bus, durable, time):
    submission = await intake.submit(job("analytics"), durable)
    time.now = NOON + timedelta(seconds=2.5)
    await ledger.begin(submission.entry.job, runner="one")
    assert (await ledger.get("analytics", submission.entry.job.id)).wait_seconds == 2.5


async def test_a_crash_before_it_was_scheduled_is_healed_by_the_next_submission(bus, durable, time):
    submitted = job("order")
    await ledger.submit(submitted.ref, submitted.digest)
    assert not (await intake.submit(submitted, durable)).is_new
    assert len(bus.queues["jobs"].active) == 1


async def test_without_a_bus_the_sender_is_told_to_come_again(bus, durable, time, monkeypatch):
    async def away(*_):
        raise OSError("nobody listens")

    submitted = job("order")
    with monkeypatch.context() as patched:
        patched.setattr(Sender, "send_messages", away)
        with pytest.raises(ServiceBusUnavailableError):
            await intake.submit(submitted, durable)
    await intake.submit(submitted, durable)
    assert (len(bus.queues["jobs"].active), durable.starts) == (1, 0)


@pytest.mark.parametrize("kind", INPUTS)
async def test_what_was_cancelled_never_runs(bus, durable, time, queued, kind):
    submission = await intake.submit(job(kind), durable)
    await cancellation.request(kind, submission.entry.job.id, durable)
    time.now = NOON
    await deliver(bus, durable)
    assert (await ledger.get(kind, submission.entry.job.id)).state == "Cancelled"
    assert (durable.starts, await queued(), bus.queues["jobs"].active) == (0, [], [])


@pytest.mark.parametrize("ahead", [timedelta(0), timedelta(minutes=3)])
async def test_a_bus_whose_clock_is_ahead_is_told_once_more_and_once_only(bus, durable, time, ahead):
    submission = await intake.submit(job("order"), durable)
    time.now = NOON - ahead - timedelta(milliseconds=1)
    await deliver(bus, durable)
    assert durable.starts == 0
    (message,) = bus.queues["jobs"].active
    # By its own clock it is noon; by ours it is not for `ahead` and a millisecond more.
    assert NOON + ahead <= message.scheduled_enqueue_time_utc <= NOON + ahead + timedelta(milliseconds=10)
    time.now = NOON
    await deliver(bus, durable)
    assert list(durable.started) == [submission.entry.job.instance_id]


@pytest.mark.parametrize("kind", ["order", "analytics"])
async def test_a_copy_in_a_storage_queue_starts_nothing_early(bus, durable, time, kind):
    await intake.submit(job(kind), durable)
    copy = b"".join(bus.queues["jobs"].active.pop().body)
    await intake.receive(copy, delivery(), durable)
    assert durable.starts == 0
    (message,) = bus.queues["jobs"].active
    assert message.scheduled_enqueue_time_utc >= NOON


async def test_two_of_the_same_start_one(bus, durable, time):
    submitted = job("order")
    for _ in range(2):
        await intake.submit(submitted, durable)
    one, other = bus.queues["jobs"].active
    time.now = NOON
    for message in (one, other, one):
        bus.queues["jobs"].active[:] = [message]
        await deliver(bus, durable)
    assert durable.starts == 1


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("tomorrow", "must be a time"),
        ("2026-12-01", "must be a time"),
        ("2026-12-01T12:00:00", "with its offset"),
        ("", "must be a time"),
        (10, "must be a time"),
        (1_800_000_000, "must be a time"),
        (True, "must be a time"),
        ({}, "must be a time"),
        ("2027-12-03T00:00:00Z", "a year ahead"),
        ("9999-12-31T23:59:59-23:59", "9999"),
        ("0001-01-01T00:00:00+23:59", "9999"),
    ],
)
async def test_what_is_no_time_to_come_is_explained(time, given, said):
    with pytest.raises(InvalidInputError, match=said) as refused:
        job("analytics", notBefore=given)
    assert [wrong["field"] for wrong in refused.value.fields] == ["notBefore"]


async def test_a_year_ahead_is_not_too_far(time):
    in_a_year = time.now.replace(year=time.now.year + 1).astimezone(timezone(timedelta(hours=-8)))
    assert job("analytics", notBefore=in_a_year.isoformat()).not_before == "2027-12-01T11:00:00.000000Z"
