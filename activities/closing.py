"""The end of a job: its outcome goes into the ledger, its last line into the log, and a failure into a dead letter."""

import azure.durable_functions as df

from jobs import bodies, dead_letters, ledger, results
from jobs.call import Call, outcome
from jobs.errors import ServiceBusUnavailableError, SettingMissingError
from jobs.ledger import JobRef, Run

blueprint = df.Blueprint()


@blueprint.activity_trigger(input_name="call")
async def end_job(call: dict) -> dict:
    return await outcome(end, call)


async def end(call: Call) -> None:
    """Input: `state` (Completed, Failed, Cancelled), `run` (or None: see `ledger.end`), `result`, `error`, `jobInput`.

    The status does not wait for the Service Bus. When the bus is away the activity fails after the job has ended, and
    is tried again; `jobInput`, the orchestration's input, is what the job is started with again.
    """
    run = call.input["run"] and Run(**call.input["run"])
    has_failed = call.input["state"] == ledger.FAILED
    if has_failed:
        await bodies.keep_job(call.job, call.input["jobInput"])
    stored = await results.store(call.job, call.input.get("result"))
    await ledger.end(call.job, run, call.input["state"], error=call.input.get("error"), **stored)
    if has_failed:
        await _bury(call.job)


async def _bury(job: JobRef) -> None:
    entry = await ledger.get(job.kind, job.id)
    if entry.job.run != job.run:
        # It was replayed since, so this run has had its dead letter.
        return
    try:
        await dead_letters.bury_job(entry)
    except SettingMissingError as error:
        # Somebody may set it before the tries are used up; until then the orchestration is not done.
        raise ServiceBusUnavailableError(str(error)) from error
