"""The HTTP door to the queues: how many messages wait in each, and since when."""

import azure.durable_functions as df
import azure.functions as func

from jobs import backlogs
from triggers.answers import answer_json, answering

blueprint = df.Blueprint()


@blueprint.route(route="queues", methods=["GET"])
@answering
async def list_queues(req: func.HttpRequest) -> func.HttpResponse:
    found, missing = await backlogs.every_queue()
    queues = [depth.to_dict() for depth in found]
    return answer_json({"queues": queues, "missing": missing}, headers={"Cache-Control": "no-store"})
