"""The end of a job is told whoever enters it, and whoever dies at it."""

from __future__ import annotations

import json
from datetime import timedelta
from functools import partial
from uuid import uuid4

import pytest

from jobs import approvals, cancellation, channels, delivery, finishing, intake, ledger, relay, stragglers
from jobs.approval_rounds import planned
from jobs.relay import Poison
from jobs.single_activity import Delivery
from tests.unit.jobs.crashes import Crash, dies
from tests.unit.jobs.delivering import NOTHING_ASKED

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("configured")]


async def test_a_job_that_is_withdrawn_and_a_single_activity_are_told_of(delivering, receiver, durable):
    withdrawn = await delivering.submit(notBefore=ledger.written(delivering.now + timedelta(hours=1)))
    await cancellation.request("order", withdrawn.id, durable)
    body = {"kind": "analytics", "id": uuid4().hex, "input": {"event": "seen"}, "callbackUrl": receiver.url}
    received = Delivery("jobs", "m-1", 1, is_last=False)
    await intake.receive(json.dumps(body).encode(), received, durable)
    await intake.receive(json.dumps(body).encode(), received, durable)
    await delivering.deliver_all()
    assert [json.loads(got.body)["type"] for got in receiver.got] == ["job.cancelled", "job.completed"]


async def test_what_others_end_is_told_of_too(delivering, receiver, durable, monkeypatch):
    """A job whose worker was killed in its last attempt, and one whose orchestration an operator has ended."""
    worn_out = {"kind": "analytics", "id": uuid4().hex, "input": {"event": "seen"}}
    job = await delivering.submit(**worn_out)
    await ledger.begin(job, runner="killed")
    await relay.relay(Poison("jobs", "p-1", json.dumps(worn_out).encode()), durable)
    await delivering.deliver_all()
    stopped = await delivering.submit()
    await ledger.begin(stopped, runner=stopped.instance_id)
    asked = await approvals.open_for(stopped, "Sell it?", {}, "reject", planned(("a@example.com",), 1.0, 9.0))
    durable.statuses[stopped.instance_id] = {"runtimeStatus": "Terminated"}
    delivering.now += timedelta(hours=2)
    # Not about what other tests have left running.
    monkeypatch.setattr(finishing.Finisher, "may_ask", lambda _, entry: entry.job.id == stopped.id)
    await stragglers.sweep(timedelta(minutes=1), durable)
    await delivering.deliver_all()
    told = {said["data"]["id"]: said for said in (json.loads(got.body) for got in receiver.got)}
    assert [told[id]["data"]["error"]["type"] for id in (job.id, stopped.id)] == [
        "MaxDequeueCountExceeded",
        "Terminated",
    ]
    assert len(receiver.got) == 2
    assert [len(delivering.events(each)) for each in (job, stopped)] == [1, 1]
    # Nobody is asked any more, and what waits for the answer is called to see that.
    assert (await approvals.get(asked.id)).state == approvals.WITHDRAWN
    assert durable.events == [(asked.instance_id, "decided.0")]


async def test_an_activity_that_dies_at_its_end_is_told_of_when_its_message_comes_again(
    delivering, durable, monkeypatch
):
    id = uuid4().hex
    body = json.dumps({"kind": "analytics", "id": id, "input": {"event": "seen"}}).encode()

    async def die(entry):
        raise Crash

    with monkeypatch.context() as patched:
        patched.setattr(delivery, "deliver", die)
        assert await dies(partial(intake.receive, body, Delivery("jobs", "m-1", 1, is_last=False), durable))
    job = (await ledger.get("analytics", id)).job
    assert delivering.events(job) == []
    await intake.receive(body, Delivery("jobs", "m-1", 2, is_last=False), durable)
    # Another message about the same job is no reason to tell of it.
    await intake.receive(body, Delivery("jobs", "m-2", 1, is_last=False), durable)
    assert len(delivering.events(job)) == 1


async def test_an_activity_that_dies_at_its_end_in_its_last_attempt_is_told_of_by_the_relay(
    delivering, receiver, durable
):
    message = {"kind": "analytics", "id": uuid4().hex, "input": {"event": "seen"}}
    job = await delivering.submit(**message)
    await ledger.end(job, None, "Completed", owes=channels.asked(job))
    await relay.relay(Poison("jobs", "p-1", json.dumps(message).encode()), durable)
    await delivering.deliver_all()
    assert (len(receiver.got), len(delivering.events(job))) == (1, 1)


async def test_who_dies_when_a_job_is_cancelled_before_it_begins_leaves_it_to_the_watchdog(
    delivering, durable, monkeypatch
):
    job = await delivering.submit(**NOTHING_ASKED, notBefore=ledger.written(delivering.now + timedelta(hours=1)))

    async def die(entry):
        raise Crash

    with monkeypatch.context() as patched:
        patched.setattr(delivery, "deliver", die)
        assert await dies(partial(cancellation.request, "order", job.id, durable))
    delivering.now += timedelta(minutes=5)
    await stragglers.sweep(timedelta(minutes=1), durable)
    await delivering.deliver_all()
    [told] = delivering.events(job)
    assert told.endswith(".cancelled")
