"""The queue doors: what the host says of a message becomes a delivery."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from uuid import uuid4

import azure.functions as func
import pytest
from azure.functions.queue import QueueMessageInConverter

from jobs import ledger
from tests.unit.triggers.doors import functions

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("storage")]


def message(body: bytes, **metadata: str) -> func.QueueMessage:
    """A message as the worker makes it from what the host sends."""
    told = {"Id": uuid4().hex, "DequeueCount": "1", "InsertionTime": "2026-01-01T00:00:00+00:00"} | metadata
    trigger_metadata = {
        name: func.meta.Datum(value if name == "DequeueCount" else json.dumps(value), "json")
        for name, value in told.items()
    }
    return QueueMessageInConverter.decode(func.meta.Datum(body, "bytes"), trigger_metadata=trigger_metadata)


async def deliver(door: str, durable, received: func.QueueMessage) -> None:
    await functions()[door].get_user_function().client_function(message=received, client=durable)


@pytest.mark.parametrize("door", ["take_job", "take_urgent_job"])
async def test_a_dropped_message_is_a_job(durable, door):
    received = message(json.dumps({"kind": "analytics", "input": {"event": "dropped"}}).encode())
    await deliver(door, durable, received)
    entry = await ledger.get("analytics", received.id)
    assert entry.state == "Completed"
    assert datetime.fromisoformat(entry.job.submitted_at) == datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(("door", "queue"), [("take_job", "jobs"), ("take_urgent_job", "jobs-urgent")])
async def test_what_is_no_job_is_buried_by_the_name_of_its_door(durable, bus, door, queue):
    received = message(b"no job")
    await deliver(door, durable, received)
    [letter] = bus.letters(messageId=received.id)
    assert letter.application_properties[b"source"] == f"storage:{queue}".encode()


@pytest.mark.parametrize(
    ("door", "source"), [("relay_job", b"storage:jobs"), ("relay_urgent_job", b"storage:jobs-urgent")]
)
async def test_what_the_host_gave_up_is_buried(durable, bus, door, source):
    received = message(b'{"kind": "analytics", "input": {"event": "dropped"}}')
    await deliver(door, durable, received)
    [letter] = bus.letters(messageId=received.id)
    assert (letter.application_properties[b"source"], letter.dead_letter_reason) == (source, "MaxDequeueCountExceeded")
    assert letter.application_properties[b"firstSeen"].startswith(b"2026-01-01")


async def test_a_blob_that_the_host_gave_up_is_buried(bus):
    about = {"Type": "BlobTrigger", "ContainerName": "photos", "BlobName": "a/b.jpg", "ETag": '"0x1"'}
    await functions()["relay_blob"].get_user_function()(message=message(json.dumps(about).encode()))
    [letter] = bus.letters(source="blob:photos/a/b.jpg")
    assert letter.dead_letter_reason == "MaxDequeueCountExceeded"


@pytest.mark.parametrize("count", ["4", "5"])
async def test_the_last_delivery_is_known(durable, world, bus, count):
    world.fault({"when": {"operation": "mail"}, "fault": "error"})
    mail = {"to": "ada@example.com", "subject": "Hello", "text": "Hello"}
    received = message(json.dumps({"kind": "mail", "input": mail}).encode(), DequeueCount=count)
    if count == "5":
        await deliver("take_job", durable, received)
    else:
        with pytest.raises(Exception, match="451"):
            await deliver("take_job", durable, received)
    assert (await ledger.get("mail", received.id)).state == ("Failed" if count == "5" else "Running")
