"""The HTTP door to the schedules: how each stands, the alerts that are active; and an outer scheduler may run one."""

from datetime import datetime

import azure.durable_functions as df
import azure.functions as func

from jobs import alerts, schedule_watch, schedules, strict_json
from jobs.clients import clients
from jobs.errors import InvalidInputError
from jobs.ledger import written
from triggers.answers import answer_json, answering
from triggers.requests import body_of

blueprint = df.Blueprint()

LARGEST_BODY = 1024


@blueprint.route(route="schedules", methods=["GET"])
@answering
async def list_schedules(req: func.HttpRequest) -> func.HttpResponse:
    await clients().provide()
    found = [each.to_dict() for each in await schedule_watch.outlooks()]
    active = [each.to_dict() for each in await alerts.active()]
    return answer_json({"schedules": found, "alerts": active}, headers={"Cache-Control": "no-store"})


@blueprint.route(route="schedules/{name}/run", methods=["POST"])
@blueprint.durable_client_input(client_name="client")
@answering
async def run_schedule(req: func.HttpRequest, client: df.DurableOrchestrationClient) -> func.HttpResponse:
    found = await schedules.run_at(req.route_params["name"], _moment_wanted(req), client)
    path = f"/api/jobs/{found.job}" if found.job else None
    shown = {"name": found.schedule.name, "scheduledAt": written(found.scheduled_at), "job": path}
    if path is None or not found.is_new:
        return answer_json(shown, 200)
    return answer_json(shown, 202, {"Location": path, "Retry-After": "2"})


def _moment_wanted(req: func.HttpRequest) -> datetime | None:
    """`{"scheduledAt": …}`, or nothing for now. Raises TooLargeError, NotAJobError, InvalidInputError."""
    body = body_of(req, LARGEST_BODY, f"all that can be said is scheduledAt, in at most {LARGEST_BODY} bytes")
    match strict_json.loads(body or b"{}"):
        case {"scheduledAt": str(text), **others} if not others:
            moment = _moment(text)
        case {**others} if not others:
            return None
        case _:
            moment = None
    if moment is None or moment.tzinfo is None:
        message = "must be a time with its offset, as 2026-12-01T02:00:00Z, and nothing else can be said"
        raise InvalidInputError(f"scheduledAt: {message}", [{"field": "scheduledAt", "message": message}])
    return moment


def _moment(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None
