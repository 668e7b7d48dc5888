"""The door to which others tell their news: anonymous, because each webhook is signed."""

import azure.durable_functions as df
import azure.functions as func

from jobs import carrier_webhooks
from triggers.answers import answering
from triggers.requests import body_of

blueprint = df.Blueprint()

LARGEST_WEBHOOK = 64 * 1024


@blueprint.route(route="webhooks/carrier", methods=["POST"], auth_level=func.AuthLevel.ANONYMOUS)
@blueprint.durable_client_input(client_name="client")
@answering
async def take_carrier_webhook(req: func.HttpRequest, client: df.DurableOrchestrationClient) -> func.HttpResponse:
    body = body_of(req, LARGEST_WEBHOOK, f"a webhook may have {LARGEST_WEBHOOK // 1024} KB")
    await carrier_webhooks.take(body, req.headers, client)
    return func.HttpResponse(status_code=202)
