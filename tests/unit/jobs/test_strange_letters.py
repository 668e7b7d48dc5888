"""Messages that somebody else than the app put into its queues for dead letters: odd, but in nobody's way."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from azure.servicebus import ServiceBusMessage
from azure.servicebus.amqp import AmqpAnnotatedMessage, AmqpMessageProperties

from jobs import dead_letters, mover, replay
from jobs.clients import clients
from jobs.errors import JobError, NotAJobError
from jobs.letters import DeadLetter
from jobs.settings import settings

pytestmark = pytest.mark.anyio

WITH_ODD_PROPERTIES = {
    "none": {},
    "numbers": {"source": 1, "body": 2, "reason": 3, "description": 4.5, "attempts": 2**31 - 1, "jobId": False},
    "values without JSON": {"source": UUID(int=1), "body": datetime(2026, 1, 1, tzinfo=UTC), "attempts": "many"},
    "no source": {"source": "", "body": ""},
    "no such source": {"source": "storage:nowhere", "body": "messages/none"},
    "a queue that is none of ours": {"source": "servicebus:replies", "body": "messages/none"},
    "a job that is nobody's": {"source": "http", "body": "jobs/order/x.json", "kind": "order", "jobId": "a/b#?"},
    "a job without a name": {"source": "http", "body": "jobs/order/x.json"},
    "endless": {"source": "http", "body": "messages/x", "reason": "r" * 9000, "description": "\N{EURO SIGN}" * 9000},
}
WITH_ODD_BODIES = {
    "a value": {"value_body": {"kind": "order"}},
    "a sequence": {"sequence_body": [[1, 2], [3]]},
    "many sections": {"data_body": [b"{", b"}"]},
    "bytes": {"data_body": [b"\xff\x00"]},
}


@pytest.fixture
async def poison_jobs(storage, service_bus, impatience, monkeypatch) -> AsyncIterator[Any]:
    """A sender to the queue `poison-jobs` of a Service Bus that speaks AMQP."""
    monkeypatch.setenv("AzureWebJobsServiceBus", service_bus.connection_string)
    monkeypatch.setattr(replay, "PATIENCE", 0.2)
    monkeypatch.setattr(mover, "PATIENCE", 0.2)
    settings.cache_clear()
    service_bus.clear()
    async with clients().service_bus.get_queue_sender("poison-jobs") as sender:
        yield sender
    await clients().close()


async def moved(count: int) -> list[DeadLetter]:
    assert await mover.finish_all() == count
    found = [each async for each in dead_letters.find()]
    assert len(found) == count
    return found


async def test_they_are_moved_and_shown_and_thrown_away(poison_jobs):
    odd = [ServiceBusMessage(b"x", application_properties=said) for said in WITH_ODD_PROPERTIES.values()]
    for number, body in enumerate(WITH_ODD_BODIES.values()):
        about = AmqpMessageProperties(message_id=UUID(int=number), correlation_id=7)
        odd.append(AmqpAnnotatedMessage(**body, properties=about))
    for message in odd:
        await poison_jobs.send_messages(message)
    found = await moved(len(odd))
    for dead in found:
        json.dumps(dead.to_dict())
        assert (await dead_letters.get(dead.id)).to_dict() == dead.to_dict()
        try:
            await dead.body()
        except JobError:
            assert dead.content is None
    for outcome in [each async for each in replay.replay([dead.id for dead in found])]:
        assert isinstance(outcome.error, JobError), outcome
        assert not outcome.error.retryable, outcome.error
    outcomes = [each async for each in replay.discard([dead.id for dead in found])]
    assert [outcome.error for outcome in outcomes] == [None] * len(found)


async def test_a_letter_is_buried_though_all_that_is_said_of_it_is_endless(poison_jobs):
    long = "\N{EURO SIGN}" * 30_000
    about = {"session_id": long[:128], "reply_to": long, "first_seen": long}
    await dead_letters.bury_message(f"blob:{long}", long, b"x", NotAJobError(long), **about)
    [dead] = [each async for each in dead_letters.find()]
    assert dead.letter.reason == "NotAJob"
    assert await dead.body() == b"x"
