"""The Service Bus doors: queue `jobs`, with the messages of the storage queue, and the sessions of `order-events`.

Both take bytes, for the reason that the storage queues do: of a text that is a JSON object, its fields would replace
what the host says of the message (functions-host.md §2.1).
"""

from datetime import UTC, datetime

import azure.durable_functions as df
import azure.functions as func

from jobs import bus_intake, order_events
from jobs.bus_intake import BusDelivery
from jobs.order_events import EventDelivery
from jobs.settings import max_delivery_count

blueprint = df.Blueprint()


@blueprint.service_bus_queue_trigger(
    arg_name="message", queue_name="jobs", connection="AzureWebJobsServiceBus", data_type=func.DataType.BINARY
)
@blueprint.durable_client_input(client_name="client")
async def take_bus_job(message: func.ServiceBusMessage, client: df.DurableOrchestrationClient):
    delivery = BusDelivery(
        message_id=message.message_id,
        sequence_number=message.sequence_number,
        enqueued_at=_in_utc(message.enqueued_time_utc),
        attempt=message.delivery_count,
        is_last=message.delivery_count >= max_delivery_count("jobs"),
        correlation_id=message.correlation_id,
        reply_to=message.reply_to,
    )
    await bus_intake.receive(message.get_body(), delivery, client)


@blueprint.service_bus_queue_trigger(
    arg_name="message",
    queue_name="order-events",
    connection="AzureWebJobsServiceBus",
    data_type=func.DataType.BINARY,
    is_sessions_enabled=True,
)
@blueprint.durable_client_input(client_name="client")
async def take_order_event(message: func.ServiceBusMessage, client: df.DurableOrchestrationClient):
    message_id = message.message_id or str(message.sequence_number)
    delivery = EventDelivery(order_id=message.session_id or "", message_id=message_id, attempt=message.delivery_count)
    await order_events.receive(message.get_body(), delivery, client)


def _in_utc(moment: datetime) -> datetime:
    """The worker leaves out the zone of what the host says in UTC (functions-host.md §7)."""
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
