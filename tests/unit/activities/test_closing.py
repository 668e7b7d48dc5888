"""The last step of a job enters its end, once, with a result of any size."""

from __future__ import annotations

from dataclasses import asdict

import pytest

from activities import closing
from jobs import ledger, results, strict_json
from jobs.call import Call, outcome
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


async def test_a_failed_job_whose_run_is_not_known():
    job, _ = await begun()
    error = {"type": "OutOfStock", "message": "none left", "retryable": False}
    arguments = {
        "job": asdict(job),
        "step": "end_job",
        "attempt": 1,
        "input": {"state": "Failed", "run": None, "error": error},
    }
    assert await outcome(closing.end, arguments) == {"ok": None}
    entry = await ledger.get(job.kind, job.id)
    assert (entry.state, entry.error) == ("Failed", error)
