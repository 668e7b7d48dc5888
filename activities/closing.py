"""The end of a job: its outcome goes into the ledger, and its last line into the log."""

import azure.durable_functions as df

from jobs import ledger, results
from jobs.call import Call, outcome
from jobs.ledger import Run

blueprint = df.Blueprint()


@blueprint.activity_trigger(input_name="call")
async def end_job(call: dict) -> dict:
    return await outcome(end, call)


async def end(call: Call) -> None:
    """Input: `state` (Completed, Failed, Cancelled), `run` (or None: see `ledger.end`), `result`, `error`."""
    run = call.input["run"] and Run(**call.input["run"])
    stored = await results.store(call.job, call.input.get("result"))
    await ledger.end(call.job, run, call.input["state"], error=call.input.get("error"), **stored)
