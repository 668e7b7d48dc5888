"""The intake on real storage: once, however often a job comes, and never lost between two steps."""

from __future__ import annotations

import asyncio
import base64
import json
from dataclasses import replace
from uuid import uuid4

import pytest

from jobs import failures, intake, ledger
from jobs import letters as dead_letters
from jobs.clients import clients
from jobs.errors import JobConflictError, SettingMissingError, TransientError
from jobs.job import Envelope, parse
from jobs.settings import settings
from jobs.single_activity import Delivery
from tests.orders import order

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("storage")]

MAIL = {"to": "ada@example.com", "subject": "Hello", "text": "Good evening"}


def job(kind: str = "order", input=None, id: str | None = None, **fields):
    return parse(Envelope(kind=kind, id=id or uuid4().hex, input=input or order("c-1"), **fields))


def delivery(**fields) -> Delivery:
    return replace(Delivery("jobs", message_id=uuid4().hex, attempt=1, is_last=False), **fields)


async def queued(name: str) -> list[dict]:
    queue = clients().queue(name)
    return [json.loads(message.content) async for message in queue.receive_messages(max_messages=32)]


@pytest.fixture
async def empty_queues(storage):
    for name in ("jobs", "jobs-urgent"):
        await clients().queue(name).clear_messages()


async def test_50_identical_submissions_are_one_job(durable):
    submitted = job()
    submissions = await asyncio.gather(*(intake.submit(submitted, durable) for _ in range(50)))
    assert durable.starts == 1
    assert [submission.is_new for submission in submissions].count(True) == 1


async def test_another_input_under_the_same_id_is_refused(durable):
    await intake.submit(job(id="taken"), durable)
    with pytest.raises(JobConflictError, match="another input"):
        await intake.submit(job(id="taken", input=order("c-1", quantity=2)), durable)
    assert durable.starts == 1


async def test_a_host_of_the_version_before_can_do_the_steps_of_a_job(durable):
    submitted = job()
    await intake.submit(submitted, durable)
    known = {"kind", "id", "correlation_id", "submitted_at", "claim", "tag", "source", "reply_to", "run"}
    assert durable.started[f"order-{submitted.id}"]["job"].keys() <= known


async def test_what_starts_an_orchestration_holds_nothing_sensitive(durable):
    submitted = job()
    await intake.submit(submitted, durable)
    started = durable.started[f"order-{submitted.id}"]
    assert started["input"] == {"currency": "EUR", "lines": [{"sku": "MUG", "quantity": 1}]}
    assert started["job"]["claim"] == f"order/{submitted.id}.json"
    for secret in ("Ada", "example.com", "tok_visa", "James"):
        assert secret not in json.dumps(started)


async def test_a_crash_before_the_start_is_healed_by_the_next_submission(durable):
    submitted = job()
    await ledger.submit(submitted.ref, submitted.digest)
    submission = await intake.submit(submitted, durable)
    assert not submission.is_new
    assert durable.starts == 1


async def test_a_job_under_way_is_not_started_again(durable):
    submitted = job()
    first = await intake.submit(submitted, durable)
    del durable.started[f"order-{submitted.id}"]
    await intake.submit(submitted, durable)
    await ledger.begin(first.entry.job, runner="one")
    durable.statuses.clear()
    await intake.submit(submitted, durable)
    await ledger.end(first.entry.job, None, "Completed")
    await intake.submit(submitted, durable)
    assert durable.starts == 1


async def test_a_start_that_fails_is_said_to_be_worth_another_try(durable):
    submitted = job()
    durable.started[f"order-{submitted.id}"] = "refused, though there is no instance"
    with pytest.raises(TransientError):
        await intake.submit(submitted, durable)


@pytest.mark.usefixtures("empty_queues")
@pytest.mark.parametrize(("priority", "queue"), [("normal", "jobs"), ("urgent", "jobs-urgent")])
async def test_a_single_activity_is_handed_over_by_queue(durable, priority, queue):
    submitted = job("mail", MAIL, priority=priority)
    await intake.submit(submitted, durable)
    [message] = await queued(queue)
    assert (message["kind"], message["id"], message["input"]) == ("mail", submitted.id, {})
    assert durable.starts == 0


@pytest.mark.usefixtures("empty_queues")
async def test_a_handed_over_job_is_done_once_whatever_is_delivered(durable, world):
    submitted = job("mail", MAIL)
    await intake.submit(submitted, durable)
    await intake.submit(submitted, durable)
    messages = await queued("jobs")
    assert len(messages) == 2
    for message in messages * 2:
        await intake.receive(json.dumps(message).encode(), delivery(), durable)
    assert len(world.mailbox("ada@example.com")["messages"]) == 1
    assert world.mailbox()["duplicates"] == 0
    assert (await ledger.get("mail", submitted.id)).state == "Completed"


@pytest.mark.usefixtures("world")
async def test_a_message_is_a_job_and_its_id_is_the_default(durable):
    body = json.dumps({"kind": "analytics", "input": {"event": "seen"}}).encode()
    dropped = delivery(inserted_at="2026-01-01T00:00:00+00:00")
    await intake.receive(body, dropped, durable)
    await intake.receive(body, dropped, durable)
    entry = await ledger.get("analytics", dropped.message_id)
    assert (entry.state, entry.job.submitted_at) == ("Completed", "2026-01-01T00:00:00.000000Z")


async def test_an_order_from_a_queue_is_the_same_job_as_by_http(durable):
    submitted = job()
    await intake.submit(submitted, durable)
    body = json.dumps({"kind": "order", "id": submitted.id, "input": order("c-1")}).encode()
    await intake.receive(body, delivery(), durable)
    assert durable.starts == 1


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"not json", "NotAJob"),
        (b"\xff", "NotAJob"),
        (b"[]", "NotAJob"),
        (b'{"input": {}}', "NotAJob"),
        (b'{"kind": "cake", "input": {}}', "UnknownKind"),
        (b'{"kind": "order"}', "InvalidInput"),
        (b'{"kind": "order", "id": "a/b", "input": {}}', "InvalidInput"),
        (b'{"kind": "mail", "id": "never-submitted", "handOver": "forged"}', "NotAJob"),
        (b'{"kind": "order", "id": "never-submitted", "handOver": "forged"}', "NotAJob"),
    ],
)
async def test_what_is_no_job_is_buried_at_once(durable, bus, caplog, body, reason):
    caplog.set_level("INFO", "nightshift")
    arrived = delivery()
    await intake.receive(body, arrived, durable)
    [letter] = bus.letters(source="storage:jobs", messageId=arrived.message_id)
    assert letter.dead_letter_reason == reason
    assert await dead_letters.read("poison-jobs", letter).body() == body
    [line] = [json.loads(record.message) for record in caplog.records if record.name == "nightshift"]
    assert (line["event"], line["source"], line["reason"]) == ("DeadLettered", "storage:jobs", reason)
    assert durable.starts == 0


@pytest.mark.parametrize("text", [b'{"kind": "order"}', b'{ "kind": 1}', b'{\n"kind": 1}', b"{\r\n}", b"{\t}"])
async def test_the_message_of_a_base64_client_is_explained(durable, bus, text):
    await intake.receive(base64.b64encode(text), delivery(), durable)
    [letter] = bus.letters()
    assert "base64" in letter.dead_letter_error_description


async def test_a_message_that_cannot_be_buried_comes_again(durable, monkeypatch):
    monkeypatch.delenv("AzureWebJobsServiceBus", raising=False)
    settings.cache_clear()
    with pytest.raises(SettingMissingError, match="AzureWebJobsServiceBus"):
        await intake.receive(b"no job", delivery(), durable)


async def test_an_orchestration_is_started_again_with_what_is_in_its_claim(durable, bus):
    submitted = job()
    await intake.submit(submitted, durable)
    await ledger.end(submitted.ref, None, "Failed", error={"type": "OutOfStock"})
    assert await failures.reopen(await ledger.get("order", submitted.id), in_new_run=True)
    forged = {"currency": "EUR", "lines": [{"sku": "MUG", "quantity": 99}]}
    message = {"kind": "order", "id": submitted.id, "input": forged, "handOver": "replay"}
    for _ in range(2):
        await intake.receive(json.dumps(message).encode(), delivery(), durable)
    started = durable.started[f"order-{submitted.id}~2"]
    assert (started["input"]["lines"], started["job"]["run"]) == ([{"sku": "MUG", "quantity": 1}], 2)
    assert durable.starts == 2


async def test_a_hand_over_with_another_input_is_forged(durable, bus):
    submitted = job("analytics", {"event": "seen"})
    await intake.submit(submitted, durable)
    forged = {"kind": "analytics", "id": submitted.id, "input": {"event": "forged"}, "handOver": "x"}
    await intake.receive(json.dumps(forged).encode(), delivery(), durable)
    assert [letter.dead_letter_reason for letter in bus.letters(jobId=submitted.id)] == ["NotAJob"]
    await clients().queue("jobs").clear_messages()
