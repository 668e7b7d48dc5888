"""The ledger on real storage: rows decide who made a job, who begins it, and that it ends once."""

from __future__ import annotations

import asyncio
import json
from uuid import uuid4

import pytest
from azure.data.tables.aio import TableClient

from jobs import ledger
from jobs.errors import JobBusyError, JobFinishedError, JobNotFoundError
from jobs.ledger import JobRef

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("storage")]


def job(kind: str = "order", id: str | None = None, submitted_at: str | None = None) -> JobRef:
    return JobRef(kind, id or uuid4().hex, "correlation", submitted_at or ledger.now())


def events(caplog, name: str) -> list[dict]:
    lines = [json.loads(record.message) for record in caplog.records if record.name == "nightshift"]
    return [line for line in lines if line["event"] == name]


@pytest.fixture(autouse=True)
def _log(caplog):
    caplog.set_level("INFO", "nightshift")


async def test_of_many_submissions_one_makes_the_row():
    submitted = job()
    results = await asyncio.gather(*(ledger.submit(submitted, f"digest {number}") for number in range(20)))
    assert [is_new for _, is_new in results].count(True) == 1
    assert len({entry.digest for entry, _ in results}) == 1
    assert len({entry.job.tag for entry, _ in results}) == 1


async def test_a_job_begins_once_and_says_so_once(caplog):
    submitted, _ = await ledger.submit(job(), "digest")
    runs = await asyncio.gather(*(ledger.begin(submitted.job, runner="one") for _ in range(5)))
    assert len({run.started_at for run in runs}) == 1
    assert len(events(caplog, "JobStarted")) == 1
    assert (await ledger.get("order", submitted.job.id)).state == "Running"


async def test_another_runner_is_kept_out():
    submitted, _ = await ledger.submit(job(), "digest")
    await ledger.begin(submitted.job, runner="one")
    with pytest.raises(JobBusyError):
        await ledger.begin(submitted.job, runner="two")


async def test_whoever_reads_the_row_of_a_running_job_cannot_begin_it_again(caplog):
    submitted, _ = await ledger.submit(job(), "digest")
    run = await ledger.begin(submitted.job, runner="one")
    read = (await ledger.get("order", submitted.job.id)).job
    with pytest.raises(JobBusyError):
        await ledger.begin(read, runner="two")
    again = await ledger.begin(read, runner="one", attempt=2)
    assert (again.started_at, again.attempt) == (run.started_at, 2)
    assert len(events(caplog, "JobStarted")) == 1


async def test_a_job_ends_once_and_says_so_once(caplog):
    submitted, _ = await ledger.submit(job(), "digest")
    run = await ledger.begin(submitted.job, runner="one")
    await ledger.end(submitted.job, run, "Completed", result={"n": 1})
    await ledger.end(submitted.job, run, "Failed", error={"type": "X"})
    await ledger.end(submitted.job, None, "Failed", error={"type": "X"})
    entry = await ledger.get("order", submitted.job.id)
    assert (entry.state, entry.result, entry.error) == ("Completed", {"n": 1}, None)
    assert entry.wait_seconds >= 0
    assert entry.run_seconds >= 0
    assert not events(caplog, "JobFailed")
    [line] = events(caplog, "JobCompleted")
    assert line["correlationId"] == "correlation"
    assert (line["kind"], line["id"], line["outcome"]) == ("order", submitted.job.id, "Completed")
    assert line["runSeconds"] == entry.run_seconds
    assert (line["waitSeconds"], line["attempt"]) == (entry.wait_seconds, 1)
    with pytest.raises(JobFinishedError):
        await ledger.begin(submitted.job, runner="one")


async def test_an_end_without_the_run_reads_it_first(caplog):
    submitted, _ = await ledger.submit(job(), "digest")
    await ledger.begin(submitted.job, runner="one")
    await ledger.end(submitted.job, None, "Failed", error={"type": "Broken"})
    [line] = events(caplog, "JobFailed")
    assert line["runSeconds"] >= 0
    assert line["error"] == {"type": "Broken"}


async def test_a_pending_job_can_be_withdrawn_and_a_begun_one_cannot():
    pending, _ = await ledger.submit(job(), "digest")
    assert await ledger.withdraw(pending)
    assert (await ledger.get("order", pending.job.id)).state == "Cancelled"
    begun, _ = await ledger.submit(job(), "digest")
    await ledger.begin(begun.job, runner="one")
    assert not await ledger.withdraw(begun)
    assert (await ledger.get("order", begun.job.id)).state == "Running"


async def test_there_is_no_job_that_was_not_submitted():
    with pytest.raises(JobNotFoundError):
        await ledger.get("order", uuid4().hex)


@pytest.fixture
def lost_answers(monkeypatch):
    """Storage does what it is asked to, but its answer is lost, and the SDK asks again."""
    update = TableClient.update_entity

    async def twice(*arguments, **options):
        await update(*arguments, **options)
        return await update(*arguments, **options)

    monkeypatch.setattr(TableClient, "update_entity", twice)


async def test_a_start_and_an_end_whose_answers_are_lost_are_logged_once(lost_answers, caplog):
    submitted, _ = await ledger.submit(job(), "digest")
    run = await ledger.begin(submitted.job, runner="one")
    await ledger.end(submitted.job, run, "Completed", result={"n": 1})
    assert len(events(caplog, "JobStarted")) == len(events(caplog, "JobCompleted")) == 1


async def test_a_job_is_withdrawn_although_the_answer_is_lost(lost_answers, caplog):
    submitted, _ = await ledger.submit(job(), "digest")
    assert await ledger.withdraw(submitted)
    assert len(events(caplog, "JobCancelled")) == 1
