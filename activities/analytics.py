"""Analytics: what happened, one table row an event, by day and event."""

from typing import Any

import azure.durable_functions as df
from azure.core.exceptions import ResourceExistsError

from jobs import strict_json
from jobs.call import Call, outcome
from jobs.clients import clients
from jobs.inputs import AnalyticsInput

blueprint = df.Blueprint()


@blueprint.activity_trigger(input_name="call")
async def record_sale(call: dict) -> dict:
    return await outcome(sale, call)


async def record(call: Call) -> None:
    """The whole of an `analytics` job."""
    event = await call.job_input(AnalyticsInput)
    await _insert(call, event.event, event.properties)


async def sale(call: Call) -> None:
    """Record that an order was sold. Input: the event's properties."""
    await _insert(call, "sale", call.input)


async def _insert(call: Call, event: str, properties: dict[str, Any]) -> None:
    """The day is that on which the job was due, so that a repetition after midnight meets the same row."""
    row = {
        "PartitionKey": f"{call.job.due_at[:10]}.{event}",
        "RowKey": call.key.replace("/", "."),
        # Not escaped: an event of the allowed size then fits into the 64 KiB of UTF-16 that a property holds.
        "properties": strict_json.canonical(properties).decode(),
    }
    try:
        await clients().table("analytics").create_entity(row)
    except ResourceExistsError:
        return
