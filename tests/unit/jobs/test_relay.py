"""The relay: what a message of a poison queue was, and whether its job has failed at all."""

from __future__ import annotations

import base64
import json
from uuid import uuid4

import pytest

from jobs import intake, ledger, relay
from jobs.clients import clients
from jobs.job import Envelope, parse
from jobs.relay import Poison
from tests.orders import order

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("storage")]


def poison(body: str | dict, queue: str = "jobs") -> Poison:
    text = body if isinstance(body, str) else json.dumps(body)
    return Poison(queue, uuid4().hex, text.encode(), "2026-01-01T00:00:00.000000Z")


def event(id: str, **fields) -> dict:
    return {"kind": "analytics", "id": id, "input": {"event": "seen"}} | fields


async def entered(id: str, kind: str = "analytics", input: dict | None = None) -> ledger.Entry:
    job = parse(Envelope(kind=kind, id=id, input=input or {"event": "seen"}), source="storage:jobs-urgent")
    return (await ledger.submit(job.ref, job.digest))[0]


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("no job", "NotAJob"),
        ('{"kind": "cake"}', "UnknownKind"),
        ('{"kind": "order"}', "InvalidInput"),
        ('{"kind": "mail", "id": "never-submitted", "handOver": "forged"}', "NotAJob"),
        ('{"kind": "analytics", "input": {"event": "seen"}}', "MaxDequeueCountExceeded"),
    ],
)
async def test_its_reason_is_what_is_wrong_with_it(bus, durable, body, reason):
    received = poison(body)
    await relay.relay(received, durable)
    [letter] = bus.letters(messageId=received.message_id)
    assert letter.dead_letter_reason == reason
    assert letter.application_properties[b"attempts"] == 5
    assert letter.application_properties[b"firstSeen"] == b"2026-01-01T00:00:00.000000Z"


@pytest.mark.parametrize("begun", [False, True])
async def test_a_job_that_was_never_done_has_failed(bus, durable, begun):
    id = uuid4().hex
    entry = await entered(id)
    if begun:
        await ledger.begin(entry.job, runner="m-1")
    for _ in range(2):
        await relay.relay(poison(event(id)), durable)
    entry = await ledger.get("analytics", id)
    assert (entry.state, entry.error["type"], entry.attempt) == ("Failed", "MaxDequeueCountExceeded", 5)
    [letter] = bus.letters(jobId=id)
    assert letter.application_properties[b"source"] == b"storage:jobs-urgent", "where the job came from"


@pytest.mark.parametrize("state", ["Completed", "Cancelled"])
async def test_a_job_that_has_ended_otherwise_is_left_alone(bus, durable, state):
    id = uuid4().hex
    await ledger.end((await entered(id)).job, None, state)
    await relay.relay(poison(event(id)), durable)
    assert ((await ledger.get("analytics", id)).state, bus.letters()) == (state, [])


async def test_a_job_that_another_message_is_doing_is_left_alone(bus, durable):
    id = uuid4().hex
    await ledger.begin((await entered(id)).job, runner="other-hand-over")
    await relay.relay(poison(event(id, handOver="this-one")), durable)
    assert ((await ledger.get("analytics", id)).state, bus.letters()) == ("Running", [])
    await relay.relay(poison(event(id, handOver="other-hand-over")), durable)
    assert (await ledger.get("analytics", id)).state == "Failed"


async def test_an_orchestration_that_runs_is_left_alone(bus, durable):
    id = uuid4().hex
    body = {"kind": "order", "id": id, "input": order("c-1")}
    await intake.submit(parse(Envelope(**body)), durable)
    await relay.relay(poison(body), durable)
    assert ((await ledger.get("order", id)).state, bus.letters()) == ("Pending", [])


async def test_an_orchestration_that_was_never_started_has_failed_and_its_input_is_kept(bus, durable):
    id = uuid4().hex
    entry = await entered(id, "order", order("c-1"))
    await relay.relay(poison({"kind": "order", "id": id, "input": order("c-1")}), durable)
    assert (await ledger.get("order", id)).state == "Failed"
    assert len(bus.letters(jobId=id)) == 1
    claim = await clients().container("claims").download_blob(entry.job.claim)
    assert json.loads(await claim.readall()) == order("c-1")


async def test_an_id_that_is_taken_is_its_reason(bus, durable):
    id = uuid4().hex
    await entered(id)
    await relay.relay(poison(event(id, input={"event": "other"})), durable)
    assert [letter.dead_letter_reason for letter in bus.letters(jobId=id)] == ["JobConflict"]
    assert (await ledger.get("analytics", id)).state == "Pending"


@pytest.mark.parametrize("encode", [str.encode, lambda text: base64.b64encode(text.encode())])
async def test_a_blob_is_told_by_its_name_and_version(bus, encode):
    name = f"{uuid4().hex}/a.jpg"
    for tag in ("1", "1", "2"):
        text = json.dumps({"ContainerName": "photos", "BlobName": name, "ETag": tag})
        await relay.relay_blob(Poison("webjobs-blobtrigger", uuid4().hex, encode(text)))
    letters = bus.letters(source=f"blob:photos/{name}")
    assert [letter.application_properties[b"messageId"] for letter in letters] == [b"1", b"2"]


@pytest.mark.parametrize("body", [b"nonsense", b"[]", b"{}", b'{"ContainerName": "photos"}', b"\xff"])
async def test_what_names_no_blob_is_buried_all_the_same(bus, body):
    await relay.relay_blob(Poison("webjobs-blobtrigger", uuid4().hex, body))
    assert [letter.dead_letter_reason for letter in bus.letters()] == ["NotAJob"]
