"""A job without a host: the ledger knows it, its attempts are those of a queue, and so is its end."""

from __future__ import annotations

from dataclasses import replace
from uuid import uuid4

import pytest

from jobs import hostless, intake, ledger, single_activity
from jobs.catalog import KINDS
from jobs.errors import JobConflictError, PermanentError, TransientError
from jobs.job import Envelope, Job, parse
from jobs.single_activity import Delivery
from tests.orders import order

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("storage")]


@pytest.fixture
def job(monkeypatch):
    """A job whose activity ends as told, time after time; `calls` counts."""

    def job(*outcomes) -> Job:
        calls = list(outcomes)

        async def work(call):
            outcome = calls.pop(0)
            if isinstance(outcome, BaseException):
                raise outcome
            return outcome

        monkeypatch.setitem(KINDS, "analytics", replace(KINDS["analytics"], activity=work))
        return parse(Envelope(kind="analytics", id=uuid4().hex, input={"event": "seen"}), source="command")

    return job


@pytest.fixture
def slept() -> list[float]:
    return []


@pytest.fixture
def run(slept):
    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    return lambda job: hostless.run(job, sleep=sleep)


async def test_it_is_done_once_however_often_the_program_is_started(run, job):
    given = job({"answer": 42})
    for _ in range(2):
        entry = await run(given)
        assert (entry.state, entry.result) == ("Completed", {"answer": 42})


async def test_what_may_pass_is_tried_again_after_growing_pauses(run, job, slept):
    entry = await run(job(TransientError("busy"), TransientError("busy", retry_after=7), {}))
    assert (entry.state, entry.attempt) == ("Completed", 3)
    assert 0.5 <= slept[0] <= 1 and slept[1] == 7


@pytest.mark.parametrize(("outcomes", "attempts"), [([PermanentError("no")], 1), ([TransientError("no")] * 5, 5)])
async def test_what_fails_for_good_is_a_dead_letter(run, job, bus, slept, outcomes, attempts):
    entry = await run(job(*outcomes))
    assert (entry.state, entry.attempt, len(slept)) == ("Failed", attempts, attempts - 1)
    [letter] = bus.letters(jobId=entry.job.id)
    assert letter.dead_letter_error_description == "no"


async def test_the_next_process_goes_on_with_a_job_whose_process_was_killed(run, job):
    class KilledError(BaseException):
        pass

    given = job(KilledError(), {})
    with pytest.raises(KilledError):
        await run(given)
    assert (await ledger.get("analytics", given.id)).state == "Running"
    assert (await run(given)).state == "Completed"


async def test_what_a_host_is_doing_is_left_to_it(run, job):
    given = job({})
    entry = (await intake.enter(given)).entry
    await ledger.begin(entry.job, runner="m-1")
    with pytest.raises(hostless.NotNowError, match="a host is doing"):
        await run(given)
    await single_activity.run(given.kind, entry.job, {}, Delivery("jobs", "m-1", 1, False), lambda: None)
    assert (await run(given)).state == "Completed"


async def test_what_must_not_start_yet_is_left_to_a_host(run, job):
    given = job()
    await intake.enter(replace(given, not_before="2999-01-01T00:00:00Z"))
    with pytest.raises(hostless.NotNowError, match="2999"):
        await run(given)
    assert (await ledger.get("analytics", given.id)).state == "Pending"


async def test_what_was_cancelled_is_not_done(run, job):
    given = job()
    assert await ledger.withdraw((await intake.enter(given)).entry)
    assert (await run(given)).state == "Cancelled"


async def test_a_taken_id_is_refused(run, job):
    given = job({})
    await run(given)
    other = parse(Envelope(kind="analytics", id=given.id, input={"event": "another"}))
    with pytest.raises(JobConflictError):
        await run(other)


async def test_a_job_of_several_steps_needs_a_host_and_leaves_nothing(run):
    given = parse(Envelope(kind="order", id=uuid4().hex, input=order("c-1")))
    with pytest.raises(hostless.NeedsHostError, match="jobs send order"):
        await run(given)
    with pytest.raises(ledger.JobNotFoundError):
        await ledger.get("order", given.id)
