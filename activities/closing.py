"""The last step of an orchestrated job: it enters how the job has ended, and has it told."""

import azure.durable_functions as df

from jobs import bodies, ending
from jobs.call import Call, outcome
from jobs.entry import FAILED, Run
from jobs.errors import ServiceBusUnavailableError, SettingMissingError

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
    state, error = call.input["state"], call.input.get("error")
    if state == FAILED:
        await bodies.keep_job(call.job, call.input["jobInput"])
    entry = await ending.enter(call.job, run, state, result=call.input.get("result"), error=error)
    if entry is None:
        # It was replayed since, so this run has had its dead letter.
        return
    try:
        await ending.conclude(entry)
    except SettingMissingError as error:
        # Somebody may set it before the tries are used up; until then the orchestration is not done.
        raise ServiceBusUnavailableError(str(error)) from error
