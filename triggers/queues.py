"""The queue doors: plain JSON messages in `jobs`, and in `jobs-urgent`, which no backlog of `jobs` holds up.

Both take bytes. Of a text that is a JSON object, the fields `id` and `DequeueCount` would replace what the host says of
the message (functions-host.md §2.1), and two messages of one job could not be told apart.
"""

import azure.durable_functions as df
import azure.functions as func

from jobs import intake, ledger
from jobs.settings import settings
from jobs.single_activity import Delivery

blueprint = df.Blueprint()


@blueprint.queue_trigger(
    arg_name="message", queue_name="jobs", connection="AzureWebJobsStorage", data_type=func.DataType.BINARY
)
@blueprint.durable_client_input(client_name="client")
async def take_job(message: func.QueueMessage, client: df.DurableOrchestrationClient):
    await intake.receive(message.get_body(), _delivery("jobs", message), client)


@blueprint.queue_trigger(
    arg_name="message", queue_name="jobs-urgent", connection="AzureWebJobsStorage", data_type=func.DataType.BINARY
)
@blueprint.durable_client_input(client_name="client")
async def take_urgent_job(message: func.QueueMessage, client: df.DurableOrchestrationClient):
    await intake.receive(message.get_body(), _delivery("jobs-urgent", message), client)


def _delivery(queue: str, message: func.QueueMessage) -> Delivery:
    """What the host says of the message."""
    inserted_at = ledger.written(message.insertion_time) if message.insertion_time else None
    return Delivery(
        queue=queue,
        message_id=message.id,
        attempt=message.dequeue_count or 1,
        is_last=(message.dequeue_count or 1) >= settings().max_dequeue_count,
        inserted_at=inserted_at,
    )
