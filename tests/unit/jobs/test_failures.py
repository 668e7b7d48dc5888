"""Jobs that have failed: marked as buried once, opened again once, and run again with new keys or with the same."""

from __future__ import annotations

import asyncio
from uuid import uuid4

import pytest
from azure.data.tables.aio import TableClient

from jobs import failures, ledger
from jobs.errors import JobFinishedError
from jobs.ledger import Entry, JobRef

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("storage")]

ERROR = {"type": "OutOfStock", "message": "none left", "retryable": False}


async def failed(**fields) -> Entry:
    job = JobRef("order", uuid4().hex, "correlation", ledger.now(), **fields)
    entry, _ = await ledger.submit(job, "digest", {"heldUntil": ledger.now()})
    run = await ledger.begin(entry.job, runner=entry.job.instance_id)
    await ledger.end(entry.job, run, "Failed", error=ERROR)
    return await read(entry)


async def read(entry: Entry) -> Entry:
    return await ledger.get(entry.job.kind, entry.job.id)


async def test_a_failure_is_marked_as_buried_once_it_has_a_letter():
    entry = await failed()
    assert entry.failure == f"order-{entry.job.id}@{entry.completed_at}"
    assert not entry.is_buried
    await failures.mark_buried(entry)
    assert (await read(entry)).is_buried


async def test_a_job_that_has_not_failed_has_no_failure():
    entry, _ = await ledger.submit(JobRef("order", uuid4().hex, "c", ledger.now()), "digest")
    assert entry.failure is None
    await ledger.end(entry.job, None, "Completed")
    assert (await read(entry)).failure is None


async def test_a_job_that_is_opened_again_is_as_if_it_had_never_begun():
    entry = await failed(claim="order/x.json", source="storage:jobs", reply_to="replies")
    again = await failures.reopen(entry, in_new_run=True)
    assert again == await read(entry)
    assert (again.state, again.attempt, again.is_buried) == ("Pending", 1, False)
    assert again.error is again.started_at is again.completed_at is again.runner is None
    assert again.held_until is None, "it takes turns with those that are replayed with it"
    assert (again.job.run, again.job.instance_id, again.reopened_by) == (2, f"order-{entry.job.id}~2", entry.failure)
    kept = (again.job.claim, again.job.source, again.job.reply_to, again.job.submitted_at, again.digest)
    assert kept == ("order/x.json", "storage:jobs", "replies", entry.job.submitted_at, "digest")
    run = await ledger.begin(again.job, runner=again.job.instance_id)
    await ledger.end(again.job, run, "Completed", result={"n": 1})
    assert ((await read(entry)).state, (await read(entry)).job.run) == ("Completed", 2)


async def test_in_the_same_run_its_keys_are_the_same():
    entry = await failed()
    again = await failures.reopen(entry, in_new_run=False)
    assert (again.job.run, again.job.instance_id) == (1, entry.job.instance_id)


async def test_of_many_one_opens_it():
    entry = await failed()
    opened = await asyncio.gather(*(failures.reopen(entry, in_new_run=True) for _ in range(5)))
    assert len([each for each in opened if each]) == 1
    assert (await read(entry)).job.run == 2


async def test_a_letter_that_comes_late_does_not_mark_what_was_opened_since():
    entry = await failed()
    again = await failures.reopen(entry, in_new_run=True)
    await failures.mark_buried(entry)
    assert not (await read(entry)).is_buried
    await ledger.end(again.job, None, "Failed", error=ERROR)
    await failures.mark_buried(entry)
    assert not (await read(entry)).is_buried, "this failure is another one"


async def test_an_instance_of_an_earlier_run_begins_and_ends_nothing():
    entry = await failed()
    await failures.reopen(entry, in_new_run=True)
    with pytest.raises(JobFinishedError):
        await ledger.begin(entry.job, runner=entry.job.instance_id)
    await ledger.end(entry.job, None, "Failed", error=ERROR)
    assert (await read(entry)).state == "Pending"


async def test_a_straggler_of_a_single_activity_ends_nothing():
    entry, _ = await ledger.submit(JobRef("mail", uuid4().hex, "c", ledger.now()), "digest")
    straggler = await ledger.begin(entry.job, runner="m-1")
    await ledger.end(entry.job, None, "Failed", error=ERROR)
    again = await failures.reopen(await read(entry), in_new_run=False)
    await ledger.begin(again.job, runner="m-2")
    await ledger.end(entry.job, straggler, "Failed", error=ERROR)
    assert (await read(entry)).state == "Running"


async def test_a_mark_whose_answer_is_lost_is_known_again(monkeypatch):
    entry = await failed()
    update = TableClient.update_entity

    async def twice(*arguments, **options):
        await update(*arguments, **options)
        return await update(*arguments, **options)

    monkeypatch.setattr(TableClient, "update_entity", twice)
    await failures.mark_buried(entry)
    assert (await read(entry)).is_buried
