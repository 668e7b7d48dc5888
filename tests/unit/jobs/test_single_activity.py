"""A single activity: repeated by its queue, done once by the ledger, and Failed when nothing helps."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta
from uuid import uuid4

import pytest

from jobs import bodies, ledger, single_activity
from jobs.catalog import Kind
from jobs.clients import clients
from jobs.errors import PermanentError, TransientError
from jobs.inputs import AnalyticsInput
from jobs.ledger import JobRef
from jobs.settings import settings
from jobs.single_activity import Delivery

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("storage")]


class Task:
    """A job of a kind whose activity does what the test says, and counts."""

    def __init__(self, *outcomes, deadline: float = 60):
        self.outcomes = list(outcomes)
        self.done = 0
        self.kind = Kind("task", "", AnalyticsInput, timedelta(seconds=deadline), activity=self._work)
        self.ref = JobRef("task", uuid4().hex, "correlation", ledger.now())

    async def submit(self) -> Task:
        entry, _ = await ledger.submit(self.ref, "digest")
        self.ref = entry.job
        return self

    async def deliver(self, message_id: str = "m-1", attempt: int = 1, is_last: bool = False) -> None:
        delivery = Delivery("jobs", message_id, attempt, is_last)
        await single_activity.run(self.kind, self.ref, {}, delivery, lambda: bodies.keep_job(self.ref, {}))

    async def entry(self) -> ledger.Entry:
        return await ledger.get("task", self.ref.id)

    async def _work(self, call):
        self.done += 1
        outcome = self.outcomes.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        if callable(outcome):
            return await outcome()
        return outcome


async def test_it_is_done_once():
    task = await Task({"answer": 42}).submit()
    await task.deliver()
    await task.deliver()
    await task.deliver("m-2")
    assert task.done == 1
    entry = await task.entry()
    assert (entry.state, entry.result) == ("Completed", {"answer": 42})


async def test_two_messages_at_once_do_it_once():
    task = await Task({}).submit()
    await asyncio.gather(*(task.deliver(f"m-{number}") for number in range(5)))
    assert task.done == 1


async def test_a_transient_error_asks_for_another_delivery():
    task = await Task(TransientError("busy"), {}).submit()
    with pytest.raises(TransientError):
        await task.deliver()
    assert (await task.entry()).state == "Running"
    await task.deliver(attempt=2)
    assert (await task.entry()).state == "Completed"


async def test_after_the_last_delivery_the_job_has_failed_and_is_buried(bus):
    task = await Task(TransientError("busy")).submit()
    await task.deliver(attempt=5, is_last=True)
    entry = await task.entry()
    assert (entry.state, entry.attempt, entry.is_buried) == ("Failed", 5, True)
    assert entry.error == {"type": "Transient", "message": "busy", "retryable": True}
    [letter] = bus.letters(jobId=task.ref.id)
    assert letter.dead_letter_error_description == "busy"


async def test_a_permanent_error_costs_one_delivery(bus):
    task = await Task(PermanentError("never")).submit()
    await task.deliver()
    assert (await task.entry()).error["message"] == "never"
    [letter] = bus.letters(jobId=task.ref.id)
    assert (letter.dead_letter_reason, letter.application_properties[b"attempts"]) == ("Permanent", 1)


async def test_an_unforeseen_error_keeps_its_text_to_itself(bus):
    task = await Task(ValueError("ada@example.com")).submit()
    await task.deliver(is_last=True)
    assert "ada@example.com" not in str((await task.entry()).error)
    assert "ada@example.com" not in str(bus.letters(jobId=task.ref.id))


async def test_without_a_service_bus_the_job_waits_in_the_poison_queue(monkeypatch):
    monkeypatch.delenv("AzureWebJobsServiceBus", raising=False)
    settings.cache_clear()
    await clients().queue("jobs-poison").clear_messages()
    task = await Task(PermanentError("never")).submit()
    await task.deliver()
    entry = await task.entry()
    assert (entry.state, entry.is_buried) == ("Failed", False)
    [waiting] = [json.loads(message.content) async for message in clients().queue("jobs-poison").receive_messages()]
    assert (waiting["kind"], waiting["id"], waiting["input"]) == ("task", task.ref.id, {})
    await clients().queue("jobs-poison").clear_messages()


async def test_it_may_not_take_for_ever(bus):
    task = await Task(lambda: asyncio.sleep(60), deadline=0.05).submit()
    await task.deliver()
    assert (await task.entry()).error["type"] == "DeadlineExceeded"


async def test_a_withdrawn_job_is_not_done():
    task = await Task({}).submit()
    assert await ledger.withdraw(await task.entry())
    await task.deliver()
    assert task.done == 0
