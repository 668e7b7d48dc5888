"""The Service Bus doors: `jobs`, with the messages of the storage queue, the sessions of `order-events`, `deliveries`.

All take bytes, for the reason that the storage queues do: of a text that is a JSON object, its fields would replace
what the host says of the message (functions-host.md §2.1). Where a job's body and its message both say an id, a
correlation id or a time, the body's goes before: a queue between may have put the message into an envelope of its own.

A session is let go of after a second of silence (host.json): a host holds only so many, and other orders wait for them.
"""

from datetime import UTC

import azure.durable_functions as df
import azure.functions as func

from jobs import delivery, intake, ledger, order_events
from jobs.delivery import Message
from jobs.intake import BusDelivery
from jobs.order_events import EventDelivery
from jobs.settings import max_delivery_count

blueprint = df.Blueprint()


@blueprint.service_bus_queue_trigger(
    arg_name="message", queue_name="jobs", connection="AzureWebJobsServiceBus", data_type=func.DataType.BINARY
)
@blueprint.durable_client_input(client_name="client")
async def take_bus_job(message: func.ServiceBusMessage, client: df.DurableOrchestrationClient):
    came = BusDelivery(
        queue="jobs",
        message_id=_id(message),
        attempt=message.delivery_count,
        is_last=_is_last("jobs", message),
        enqueued_at=_enqueued_at(message),
        correlation_id=message.correlation_id,
        reply_to=message.reply_to or None,
        reply_correlation_id=message.message_id or None,
        reply_session=message.reply_to_session_id or None,
    )
    await intake.receive_from_bus(message.get_body(), came, client)


@blueprint.service_bus_queue_trigger(
    arg_name="message",
    queue_name="order-events",
    connection="AzureWebJobsServiceBus",
    data_type=func.DataType.BINARY,
    is_sessions_enabled=True,
)
@blueprint.durable_client_input(client_name="client")
async def take_order_event(message: func.ServiceBusMessage, client: df.DurableOrchestrationClient):
    came = EventDelivery(
        order_id=message.session_id or "",
        message_id=_id(message),
        attempt=message.delivery_count,
        is_last=_is_last("order-events", message),
    )
    await order_events.receive(message.get_body(), came, client)


@blueprint.service_bus_queue_trigger(
    arg_name="message", queue_name="deliveries", connection="AzureWebJobsServiceBus", data_type=func.DataType.BINARY
)
async def take_delivery(message: func.ServiceBusMessage):
    said = Message(
        message_id=_id(message),
        attempt=message.delivery_count,
        is_last=_is_last("deliveries", message),
        enqueued_at=_enqueued_at(message),
    )
    await delivery.receive(message.get_body(), said)


def _is_last(queue: str, message: func.ServiceBusMessage) -> bool:
    return message.delivery_count >= max_delivery_count(queue)


def _id(message: func.ServiceBusMessage) -> str:
    """The message's id, or what else stays the same when it is delivered again.

    The number alone would not do: a queue that is made anew counts from 1 again.
    """
    return message.message_id or f"{message.sequence_number}@{_enqueued_at(message)}"


def _enqueued_at(message: func.ServiceBusMessage) -> str:
    """The worker leaves out the zone of what the host says in UTC (functions-host.md §7)."""
    moment = message.enqueued_time_utc
    return ledger.written(moment if moment.tzinfo else moment.replace(tzinfo=UTC))
