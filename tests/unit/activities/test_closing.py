"""The last step of a job enters its end, once, with a result of any size."""

from __future__ import annotations

import json
from dataclasses import asdict

import pytest

from activities import closing
from jobs import failures, ledger, letters, results, strict_json
from jobs.call import Call, outcome
from jobs.settings import settings
from tests.unit.activities.calls import call

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("storage")]


async def begun() -> tuple[ledger.JobRef, ledger.Run]:
    job = (await ledger.submit(call("any").job, "digest"))[0].job
    return job, await ledger.begin(job, runner=job.instance_id)


@pytest.mark.parametrize(("size", "inline"), [(100, True), (40_000, False)])
async def test_a_completed_job(size, inline):
    job, run = await begun()
    result = {"text": "x" * size}
    await closing.end(Call(job, "end_job", {"state": "Completed", "run": asdict(run), "result": result}))
    entry = await ledger.get(job.kind, job.id)
    assert entry.state == "Completed"
    assert (entry.result == result, entry.result_blob is None) == (inline, inline)


@pytest.mark.parametrize("filler", [[1] * 16_000, "é" * 16_000, "\t" * 16_000], ids=["numbers", "letters", "escapes"])
async def test_what_counts_as_small_fits_into_the_row(filler):
    """However it is spelled: blanks between numbers, or an escape for each letter, would make it too long."""
    job, run = await begun()
    result = {"filler": filler, "rest": ""}
    result["rest"] = "x" * (results.LARGEST_INLINE_RESULT - len(strict_json.canonical(result)))
    await closing.end(Call(job, "end_job", {"state": "Completed", "run": asdict(run), "result": result}))
    assert (await ledger.get(job.kind, job.id)).result == result


ERROR = {"type": "OutOfStock", "message": "none left", "retryable": False}


def failed(job: ledger.JobRef) -> dict:
    """The call of `end_job` for a job whose run is not known."""
    input = {"state": "Failed", "run": None, "error": ERROR, "jobInput": {"currency": "EUR", "lines": []}}
    return {"job": asdict(job), "step": "end_job", "attempt": 1, "input": input}


async def test_a_failed_job_whose_run_is_not_known_is_buried_once(bus):
    job, _ = await begun()
    for _ in range(2):
        assert await outcome(closing.end, failed(job)) == {"ok": None}
    entry = await ledger.get(job.kind, job.id)
    assert (entry.state, entry.error, entry.is_buried) == ("Failed", ERROR, True)
    [letter] = bus.letters(jobId=job.id)
    assert (letter.dead_letter_reason, letter.dead_letter_error_description) == ("OutOfStock", "none left")
    body = json.loads(await letters.read("poison-jobs", letter).body())
    assert (body["kind"], body["id"], body["input"]) == ("order", job.id, {"currency": "EUR", "lines": []})


async def test_what_could_not_be_undone_is_in_the_letter(bus):
    job, _ = await begun()
    call = failed(job)
    call["input"]["error"] = ERROR | {"openCompensations": ["refund_payment"]}
    await outcome(closing.end, call)
    assert "refund_payment" in bus.letters(jobId=job.id)[0].dead_letter_error_description


async def test_a_status_does_not_wait_for_the_service_bus(monkeypatch):
    monkeypatch.delenv("AzureWebJobsServiceBus", raising=False)
    settings.cache_clear()
    job, _ = await begun()
    told = await outcome(closing.end, failed(job))
    assert (told["error"]["type"], told["error"]["retryable"]) == ("ServiceBusUnavailable", True)
    entry = await ledger.get(job.kind, job.id)
    assert (entry.state, entry.is_buried) == ("Failed", False)


async def test_an_end_that_comes_again_after_a_replay_changes_nothing(bus):
    job, _ = await begun()
    await outcome(closing.end, failed(job))
    assert await failures.reopen(await ledger.get(job.kind, job.id), in_new_run=True)
    assert await outcome(closing.end, failed(job)) == {"ok": None}
    assert (await ledger.get(job.kind, job.id)).state == "Pending"
    assert len(bus.letters(jobId=job.id)) == 1
