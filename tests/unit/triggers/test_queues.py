"""The queue doors: what the host says of a message becomes a delivery."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from uuid import uuid4

import azure.functions as func
import pytest
from azure.functions.queue import QueueMessageInConverter

from jobs import ledger
from jobs.clients import clients
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


@pytest.mark.parametrize(("door", "poison"), [("take_job", "jobs-poison"), ("take_urgent_job", "jobs-urgent-poison")])
async def test_what_is_no_job_goes_to_the_poison_queue_of_its_door(durable, door, poison):
    await deliver(door, durable, message(b"no job"))
    assert [held.content async for held in clients().queue(poison).receive_messages()] == ["no job"]
    await clients().queue(poison).clear_messages()


@pytest.mark.parametrize(("count", "state"), [("4", "Running"), ("5", "Failed")])
async def test_the_last_delivery_is_known(durable, world, count, state):
    world.fault({"when": {"operation": "mail"}, "fault": "error"})
    mail = {"to": "ada@example.com", "subject": "Hello", "text": "Hello"}
    received = message(json.dumps({"kind": "mail", "input": mail}).encode(), DequeueCount=count)
    with pytest.raises(Exception, match="451"):
        await deliver("take_job", durable, received)
    assert (await ledger.get("mail", received.id)).state == state
