"""The timers: each says when it fires, and leaves the rest to `jobs.schedules`."""

import azure.durable_functions as df
import azure.functions as func

from jobs import schedules
from jobs.timetable import SCHEDULES

blueprint = df.Blueprint()


@blueprint.timer_trigger(arg_name="timer", schedule=SCHEDULES["nightly_sales_report"].expression)
@blueprint.durable_client_input(client_name="client")
async def nightly_sales_report(timer: func.TimerRequest, client: df.DurableOrchestrationClient):
    await _run("nightly_sales_report", timer, client)


@blueprint.timer_trigger(arg_name="timer", schedule=SCHEDULES["nightly_retention"].expression)
@blueprint.durable_client_input(client_name="client")
async def nightly_retention(timer: func.TimerRequest, client: df.DurableOrchestrationClient):
    await _run("nightly_retention", timer, client)


@blueprint.timer_trigger(arg_name="timer", schedule=SCHEDULES["watchdog"].expression)
@blueprint.durable_client_input(client_name="client")
async def watchdog(timer: func.TimerRequest, client: df.DurableOrchestrationClient):
    await _run("watchdog", timer, client)


async def _run(name: str, timer: func.TimerRequest, client: df.DurableOrchestrationClient) -> None:
    await schedules.run(name, schedules.tick_of(name, timer.schedule_status, timer.past_due), client)
