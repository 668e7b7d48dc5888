"""The doors to the poison queues, where the host moves what failed every time: the relay buries it with its reason.

A poison queue has none of its own (functions-host.md §4): what cannot be buried stays, and is tried again.
"""

import azure.durable_functions as df
import azure.functions as func

from jobs import ledger, relay
from jobs.relay import Poison

blueprint = df.Blueprint()


@blueprint.queue_trigger(
    arg_name="message", queue_name="jobs-poison", connection="AzureWebJobsStorage", data_type=func.DataType.BINARY
)
@blueprint.durable_client_input(client_name="client")
async def relay_job(message: func.QueueMessage, client: df.DurableOrchestrationClient):
    await relay.relay(_poison("jobs", message), client)


@blueprint.queue_trigger(
    arg_name="message",
    queue_name="jobs-urgent-poison",
    connection="AzureWebJobsStorage",
    data_type=func.DataType.BINARY,
)
@blueprint.durable_client_input(client_name="client")
async def relay_urgent_job(message: func.QueueMessage, client: df.DurableOrchestrationClient):
    await relay.relay(_poison("jobs-urgent", message), client)


@blueprint.queue_trigger(
    arg_name="message",
    queue_name="webjobs-blobtrigger-poison",
    connection="AzureWebJobsStorage",
    data_type=func.DataType.BINARY,
)
async def relay_blob(message: func.QueueMessage):
    await relay.relay_blob(_poison("webjobs-blobtrigger", message))


def _poison(queue: str, message: func.QueueMessage) -> Poison:
    """What the host says of the message."""
    inserted_at = ledger.written(message.insertion_time) if message.insertion_time else None
    return Poison(queue, message.id, message.get_body(), inserted_at)
