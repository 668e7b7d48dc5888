"""The queue doors: plain JSON messages in `jobs`, and in `jobs-urgent`, which no backlog of `jobs` holds up."""

import azure.durable_functions as df
import azure.functions as func

from jobs import intake, ledger
from jobs.settings import settings
from jobs.single_activity import Delivery

blueprint = df.Blueprint()


@blueprint.queue_trigger(arg_name="message", queue_name="jobs", connection="AzureWebJobsStorage")
@blueprint.durable_client_input(client_name="client")
async def take_job(message: func.QueueMessage, client: df.DurableOrchestrationClient):
    await intake.receive(message.get_body(), _delivery("jobs", message), client)


@blueprint.queue_trigger(arg_name="message", queue_name="jobs-urgent", connection="AzureWebJobsStorage")
@blueprint.durable_client_input(client_name="client")
async def take_urgent_job(message: func.QueueMessage, client: df.DurableOrchestrationClient):
    await intake.receive(message.get_body(), _delivery("jobs-urgent", message), client)


def _delivery(queue: str, message: func.QueueMessage) -> Delivery:
    """What the host says of the message. Where the body is an object with an `id`, that is the id it says."""
    inserted_at = ledger.written(message.insertion_time) if message.insertion_time else None
    return Delivery(
        queue=queue,
        message_id=message.id,
        attempt=message.dequeue_count or 1,
        is_last=(message.dequeue_count or 1) >= settings().max_dequeue_count,
        inserted_at=inserted_at,
    )
