"""The HTTP door to the schedules: how each stands, and the alerts that are active."""

import azure.durable_functions as df
import azure.functions as func

from jobs import alerts, schedule_watch
from jobs.clients import clients
from triggers.answers import answer_json, answering

blueprint = df.Blueprint()


@blueprint.route(route="schedules", methods=["GET"])
@answering
async def list_schedules(req: func.HttpRequest) -> func.HttpResponse:
    await clients().provide()
    found = [each.to_dict() for each in await schedule_watch.outlooks()]
    active = [each.to_dict() for each in await alerts.active()]
    return answer_json({"schedules": found, "alerts": active}, headers={"Cache-Control": "no-store"})
