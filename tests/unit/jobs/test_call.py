"""Outcomes: what an orchestrator gets to know of an activity, and what it does not."""

from __future__ import annotations

import json
from dataclasses import asdict

import pytest
from azure.core.exceptions import HttpResponseError, ServiceRequestError

from jobs import ledger
from jobs.call import outcome
from jobs.claim_check import ClaimLostError
from jobs.errors import PermanentError, TransientError
from jobs.inputs import OrderInput
from jobs.ledger import JobRef
from tests.orders import order
from tests.unit.activities.calls import call, claimed

pytestmark = pytest.mark.anyio


def arguments(job: JobRef | None = None, **fields):
    return {"job": asdict(job or call("work").job), "step": "work", "input": {"a": 1}, "attempt": 2} | fields


async def test_a_value():
    async def work(call):
        return {"key": call.key, "input": call.input, "attempt": call.attempt}

    given = arguments()
    result = await outcome(work, given)
    assert result == {"ok": {"key": f"order-{given['job']['id']}/work", "input": {"a": 1}, "attempt": 2}}


@pytest.mark.parametrize("error", [TransientError("busy", retry_after=3), PermanentError("never")])
async def test_an_error_of_the_job_is_returned(error, caplog):
    async def work(call):
        raise error

    caplog.set_level("INFO", "nightshift")
    result = await outcome(work, arguments())
    assert result["error"] == error.to_dict() | {"retryAfter": error.retry_after}
    line = json.loads(caplog.records[-1].message)
    assert (line["event"], line["step"], line["attempt"]) == ("StepFailed", "work", 2)


@pytest.mark.parametrize(("status", "transient"), [(None, True), (503, True), (429, True), (400, False), (403, False)])
async def test_storage_that_does_not_answer_may_answer_later(status, transient):
    async def work(call):
        error = HttpResponseError("storage") if status else ServiceRequestError("storage")
        error.status_code = status
        raise error

    if transient:
        error = (await outcome(work, arguments()))["error"]
        assert (error["type"], error["retryable"]) == ("StorageUnavailable", True)
    else:
        with pytest.raises(HttpResponseError):
            await outcome(work, arguments())


async def test_anything_else_is_a_crash():
    async def work(call):
        raise KeyError("bug")

    with pytest.raises(KeyError):
        await outcome(work, arguments())


@pytest.mark.usefixtures("storage")
async def test_the_first_call_begins_the_job_and_repetitions_find_it_begun():
    async def work(call):
        return None

    job = (await ledger.submit(call("work").job, "digest"))[0].job
    first = await outcome(work, arguments(job, begin=True))
    assert (await outcome(work, arguments(job, begin=True)))["run"] == first["run"]
    await ledger.end(job, None, "Completed")
    late = await outcome(work, arguments(job, begin=True))
    assert (late["error"]["type"], late["error"]["retryable"]) == ("JobFinished", False)
    assert "ok" not in late


@pytest.mark.usefixtures("storage")
async def test_a_claim_is_opened_where_it_is_needed():
    opened = await (await claimed("work", order("c-1"), {})).job_input(OrderInput)
    assert opened.customer.name == "Ada Lovelace"
    with pytest.raises(ClaimLostError, match="order/gone"):
        await call("work", claim="order/gone.json").job_input(OrderInput)
