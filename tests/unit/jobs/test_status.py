"""Statuses: the ledger's word when a job has ended, Durable's word while it runs."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime, timedelta
from uuid import uuid4

import aiohttp
import pytest

from jobs import cancellation, clock, intake, ledger, results, status
from jobs.errors import JobNotFoundError, TooLateError, UnknownKindError
from jobs.job import Envelope, parse
from jobs.settings import settings
from tests.orders import order

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("storage")]


async def submitted(durable, kind: str = "order", input=None) -> ledger.JobRef:
    job = parse(Envelope(kind=kind, id=uuid4().hex, input=input or order("c-1")))
    return (await intake.submit(job, durable)).entry.job


async def test_the_way_of_a_job(durable):
    job = await submitted(durable)
    shown = await status.read("order", job.id, durable)
    assert (shown["status"], shown["progress"], shown["startedAt"]) == ("Pending", None, None)
    assert shown["correlationId"] == job.correlation_id

    run = await ledger.begin(job, runner="one")
    custom = {"step": "charge_payment", "percent": 20, "cancellable": True}
    durable.statuses[job.instance_id]["customStatus"] = custom
    shown = await status.read("order", job.id, durable)
    assert (shown["status"], shown["progress"]) == ("Running", {"percent": 20, "step": "charge_payment"})
    assert shown["waitSeconds"] >= 0

    await ledger.end(job, run, "Completed", result={"total": 5})
    shown = await status.read("order", job.id, durable)
    assert (shown["status"], shown["progress"]["percent"], shown["result"]) == ("Completed", 100, {"total": 5})
    assert shown["runSeconds"] >= 0
    assert "error" not in shown


async def test_no_management_url_is_shown(durable):
    job = await submitted(durable)
    assert "durabletask" not in json.dumps(await status.read("order", job.id, durable))


@pytest.mark.parametrize(
    ("runtime", "shown_as", "error"),
    [
        ("Failed", "Failed", "OrchestrationFailed"),
        ("Terminated", "Failed", "Terminated"),
        ("Suspended", "Waiting", None),
    ],
)
async def test_what_only_durable_knows(durable, runtime, shown_as, error):
    job = await submitted(durable)
    await ledger.begin(job, runner="one")
    durable.statuses[job.instance_id]["runtimeStatus"] = runtime
    shown = await status.read("order", job.id, durable)
    assert shown["status"] == shown_as
    assert shown.get("error", {}).get("type") == error


async def test_an_end_entered_while_the_status_is_read_is_the_ledgers(durable):
    job = await submitted(durable)
    before = await ledger.get("order", job.id)
    error = {"type": "OutOfStock", "message": "none left", "retryable": False}
    await ledger.end(job, None, "Failed", error=error)
    durable.statuses[job.instance_id]["runtimeStatus"] = "Failed"
    assert (await status.describe(before, durable))["error"] == error


async def test_unknown_jobs_and_kinds(durable):
    with pytest.raises(JobNotFoundError):
        await status.read("order", "none", durable)
    with pytest.raises(UnknownKindError):
        await status.read("cake", "none", durable)


async def test_waiting_ends_with_the_job_or_the_time(durable):
    job = await submitted(durable)
    await status.wait("order", job.id, 0.1)
    assert (await ledger.get("order", job.id)).state == "Pending"
    await ledger.end(job, None, "Completed")
    await status.wait("order", job.id, 3600)


async def test_a_large_result_is_a_link_that_lets_one_read_it_and_nothing_else(durable):
    job = await submitted(durable)
    result = {"rows": ["x" * 1000] * 50}
    await ledger.end(job, None, "Completed", **await results.store(job, result))
    shown = await status.read("order", job.id, durable)
    assert "result" not in shown
    async with aiohttp.ClientSession() as http:
        async with http.get(shown["resultUrl"]) as answer:
            assert await answer.json() == result
        async with http.put(shown["resultUrl"], data=b"", headers={"x-ms-blob-type": "BlockBlob"}) as answer:
            assert answer.status == 403


async def test_a_status_whose_links_grow_old_is_another_one(durable, monkeypatch):
    job = await submitted(durable)
    entry = await ledger.end(job, None, "Completed", **await results.store(job, "x" * 40_000))
    ended = datetime.fromisoformat(entry.completed_at)

    async def version_after(seconds: float) -> str:
        monkeypatch.setattr(clock, "now", lambda: ended + timedelta(seconds=seconds))
        return status.version(await status.read("order", job.id, durable))

    versions = [await version_after(seconds) for seconds in (0, 449, 451, 899, 901)]
    assert versions[0] == versions[1] != versions[2] == versions[3] != versions[4]


async def test_a_link_expires(durable, monkeypatch, azurite):
    job = await submitted(durable)
    stored = await results.store(job, "x" * 40_000)
    expired = replace(settings(), result_url_lifetime=-60.0)
    monkeypatch.setattr(results, "settings", lambda: expired)
    async with aiohttp.ClientSession() as http, http.get(await results.url(stored["result_blob"])) as answer:
        assert answer.status == 403


async def test_a_small_result_stays_in_the_ledger():
    assert await results.store(ledger.JobRef("order", "1", "c", "t"), {"a": 1}) == {"result": {"a": 1}}


async def test_cancel_asks_the_orchestration(durable):
    job = await submitted(durable)
    await cancellation.request("order", job.id, durable)
    assert durable.events == [(job.instance_id, "cancel")]


async def test_cancel_comes_too_late_after_the_last_step_that_can_be_undone(durable):
    job = await submitted(durable)
    await ledger.begin(job, runner="one")
    durable.statuses[job.instance_id]["customStatus"] = {"step": "hand_over_order", "cancellable": False}
    with pytest.raises(TooLateError, match="hand_over_order"):
        await cancellation.request("order", job.id, durable)
    assert durable.events == []


@pytest.mark.parametrize("state", ledger.FINAL)
async def test_an_ended_job_cannot_be_cancelled(durable, state):
    job = await submitted(durable)
    await ledger.end(job, None, state)
    with pytest.raises(TooLateError, match=state):
        await cancellation.request("order", job.id, durable)


async def test_a_single_activity_can_be_cancelled_until_it_begins(durable):
    event = {"event": "seen"}
    waiting = await submitted(durable, "analytics", event)
    await cancellation.request("analytics", waiting.id, durable)
    assert (await ledger.get("analytics", waiting.id)).state == "Cancelled"
    begun = await submitted(durable, "analytics", event)
    await ledger.begin(begun, runner="m-1")
    with pytest.raises(TooLateError):
        await cancellation.request("analytics", begun.id, durable)


async def test_an_order_whose_start_was_lost_can_be_cancelled(durable):
    job = await submitted(durable)
    durable.statuses.clear()
    await cancellation.request("order", job.id, durable)
    assert (await ledger.get("order", job.id)).state == "Cancelled"


async def test_a_job_whose_instance_was_purged_runs_no_more(durable):
    job = await submitted(durable)
    await ledger.begin(job, runner="one")
    before = await ledger.get("order", job.id)
    del durable.statuses[job.instance_id]
    shown = await status.read("order", job.id, durable)
    assert (shown["status"], shown["error"]["type"]) == ("Failed", "OrchestrationGone")
    await ledger.end(job, None, "Completed")
    assert (await status.describe(before, durable))["status"] == "Completed"
