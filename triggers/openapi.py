"""The description of the HTTP API for machines, made from the catalog: what it says is what the doors check."""

from typing import Any

import azure.durable_functions as df
import azure.functions as func

from jobs import approvals, listing
from jobs.approval_votes import LONGEST_REASON
from jobs.catalog import KINDS, Kind
from jobs.timetable import SCHEDULES
from triggers.answers import answer_json, answering
from triggers.openapi_schemas import QUEUES, RAN, REPLAYED, WATCHED, schemas

blueprint = df.Blueprint()

PROBLEM = {"$ref": "#/components/schemas/Problem"}
DEAD_LETTER = {"$ref": "#/components/schemas/DeadLetter"}
STATUS = {"$ref": "#/components/schemas/Status"}
APPROVAL = {"$ref": "#/components/schemas/Approval"}


@blueprint.route(route="openapi.json", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
@answering
async def openapi(req: func.HttpRequest) -> func.HttpResponse:
    return answer_json(describe())


def describe() -> dict[str, Any]:
    """The whole API as OpenAPI 3.1."""
    paths: dict[str, Any] = {f"/api/jobs/{kind.name}": {"post": _submit(kind)} for kind in KINDS.values()}
    paths |= {
        "/api/jobs": {"get": _list()},
        "/api/jobs/{kind}/{id}": {"get": _read()},
        "/api/jobs/{kind}/{id}/cancel": {
            "post": _operation(
                "Ask a job to stop and to undo what it did.", _named(), {202: STATUS, 404: PROBLEM, 409: PROBLEM}
            )
        },
        "/api/approvals": {"get": _list_approvals()},
        "/api/approvals/{id}/decision": {"post": _decide("Decide for somebody who has no link.", APPROVAL_ID, "by")},
        "/api/approvals/{token}": {
            "get": _operation("Look at the question of a mailed link.", [TOKEN], LOOKED) | OPEN,
            "head": _operation("Whether a mailed link is good.", [TOKEN], LOOKED) | OPEN,
            "post": _decide("Decide by a mailed link.", TOKEN) | OPEN,
        },
        "/api/queues": {"get": _operation("How many messages wait in each queue, and since when.", [], {200: QUEUES})},
        "/api/schedules": {"get": _operation("What runs by the clock, and the alerts there are.", [], {200: WATCHED})},
        "/api/schedules/{name}/run": {"post": _run_schedule()},
        "/api/dead-letters": {"get": _list_dead_letters() | ADMIN},
        "/api/dead-letters/{id}": {
            "get": _operation("Look at a dead letter.", [LETTER, WITH_BODY], {200: DEAD_LETTER, 404: PROBLEM}) | ADMIN,
            "delete": _operation("Throw a dead letter away.", [LETTER], {204: {}, 404: PROBLEM, 503: PROBLEM}) | ADMIN,
        },
        "/api/dead-letters/{id}/replay": {
            "post": _operation(
                "Put what failed back to where it came from, twice at most.",
                [LETTER],
                {202: REPLAYED} | dict.fromkeys((404, 409, 503), PROBLEM),
            )
            | ADMIN
        },
        "/api/webhooks/carrier": {"post": _hear_carrier() | OPEN},
        "/api/dashboard": {"get": DASHBOARD | OPEN},
        "/api/health": {"get": _operation("Whether the app reaches what it needs.", [], {200: {}, 503: {}}) | OPEN},
    }
    return {
        "openapi": "3.1.0",
        "info": {"title": "Nightshift jobs", "version": "1"},
        "security": [{"functionKey": []}],
        "paths": paths,
        "components": {"schemas": schemas(), "securitySchemes": {"functionKey": FUNCTION_KEY, "adminKey": ADMIN_KEY}},
    }


OPEN = {"security": []}
ADMIN = {"security": [{"adminKey": []}]}
ADMIN_KEY = {"type": "apiKey", "in": "header", "name": "x-functions-key", "description": "The host's master key."}
FUNCTION_KEY = {"type": "apiKey", "in": "header", "name": "x-functions-key"}

PRIORITY = (
    "`urgent`: before all that waits for its start. A job without orchestration has a queue of its own then; an order "
    "begins at once, however many wait. Jobs of other kinds always do."
)
NOT_BEFORE = (
    "The job starts no earlier, and can be cancelled until then: a time with its offset, within a year. The first one "
    "counts: with another one, the same id and input are the same job, and its status shows its time."
)
CALLBACK_URL = (
    "Where the outcome is sent: a POST as Standard Webhooks has it, whose body has `type` (job.completed, job.failed, "
    "job.cancelled), `timestamp` and, as `data`, the status. https and a public address only. Any 2xx acknowledges it, "
    "410 ends it for good, all else is tried again for a day. The first URL counts: with another one, the same id and "
    "input are the same job."
)
REPLY_TO = "The Service Bus queue to which the status is sent when the job has ended. The first one counts."
NEW_ID = "The id of the job. The same id and input is the same job."
WAIT = (
    "`wait=N`: answer when the job has ended, or after N seconds, 60 at most; with If-None-Match also when its status "
    "has changed."
)
ORDER = (
    "`newest`: one page of the newest, looked for in the last 24 hours unless `since` says otherwise, and in a shorter "
    "time when there are too many; the answer's `since` says in which."
)
DAMAGED = "Jobs whose rows in the ledger cannot be read, as `<kind>/<id>`: left out unless there are some."
DAMAGED_APPROVALS = "Ids of those whose rows cannot be read: left out unless there are some."
SINCE = "By `order=newest`: no job is left out that was submitted since then, unless there are more than `top`."
NATURAL_ID = "Not needed: the input says the job's id."
FORCED_ID = "Needed with `force` only, to tell one more such job from others: otherwise the input says the job's id."


def _submit(kind: Kind) -> dict[str, Any]:
    parameters = [
        _parameter("header", "Idempotency-Key", _about_id(kind)),
        _parameter("header", "Prefer", "`wait=N`: answer when the job has ended, or after N seconds."),
        _parameter("header", "x-correlation-id", "Found again in the job's logs and in all that it calls."),
        _parameter("query", "priority", PRIORITY, {"enum": ["normal", "urgent"]}),
        _parameter("query", "notBefore", NOT_BEFORE, {"type": "string", "format": "date-time"}),
        _parameter("query", "callbackUrl", CALLBACK_URL, {"type": "string", "format": "uri", "maxLength": 2000}),
        _parameter("query", "replyTo", REPLY_TO),
    ]
    answers = {200: STATUS, 202: STATUS} | dict.fromkeys((400, 409, 413, 503), PROBLEM)
    schema = {"$ref": f"#/components/schemas/{kind.input_model.__name__}"}
    body = {"required": True, "content": {"application/json": {"schema": schema}}}
    return _operation(kind.summary, parameters, answers) | {"operationId": kind.name, "requestBody": body}


def _read() -> dict[str, Any]:
    parameters = [
        *_named(),
        _parameter("query", "steps", "`true`: with each step of the job.", {"type": "boolean"}),
        _parameter("header", "If-None-Match", "The ETag of a status that you have: 304 if it is still so."),
        _parameter("header", "Prefer", WAIT),
    ]
    return _operation("Read a job's status.", parameters, {200: STATUS, 304: None, 400: PROBLEM, 404: PROBLEM})


def _about_id(kind: Kind) -> str:
    if kind.id_of is None:
        return NEW_ID
    return FORCED_ID if "force" in kind.input_model.model_fields else NATURAL_ID


def _hear_carrier() -> dict[str, Any]:
    parameters = [
        _parameter("header", name, description) | {"required": True}
        for name, description in (
            ("webhook-id", "The same when it is sent again."),
            ("webhook-timestamp", "Seconds since 1970, at most five minutes ago."),
            ("webhook-signature", "As Standard Webhooks has it: `v1,…`."),
        )
    ]
    told = {"$ref": "#/components/schemas/CarrierWebhook"}
    answers = {202: None} | dict.fromkeys((400, 401, 404, 413, 503), PROBLEM)
    body = {"required": True, "content": {"application/json": {"schema": told}}}
    return _operation("The carrier tells that a parcel has moved.", parameters, answers) | {"requestBody": body}


def _list() -> dict[str, Any]:
    parameters = [
        _parameter("query", "kind", "Only jobs of this kind.", {"enum": sorted(KINDS)}),
        _parameter("query", "status", "Only jobs in this state.", {"enum": list(listing.SHOWN)}),
        _parameter("query", "since", "Only jobs submitted then or later.", {"type": "string", "format": "date-time"}),
        _parameter("query", "top", "So many a page.", {"type": "integer", "minimum": 1, "maximum": 1000}),
        _parameter("query", "order", ORDER, {"enum": ["id", "newest"]}),
        _parameter("query", "continuationToken", "From the page before."),
    ]
    page = {
        "type": "object",
        "properties": {
            "jobs": {"type": "array", "items": STATUS},
            "damaged": {"type": "array", "items": {"type": "string"}, "description": DAMAGED},
            "continuationToken": {"type": "string"},
            "next": {"type": "string"},
            "since": {"type": "string", "format": "date-time", "description": SINCE},
            "isCut": {"type": "boolean", "description": "Whether that is later than was asked for."},
        },
    }
    summary = "List jobs, ordered by kind and id or the newest first."
    return _operation(summary, parameters, {200: page, 400: PROBLEM, 404: PROBLEM})


def _list_approvals() -> dict[str, Any]:
    parameters = [
        _parameter("query", "state", "Only those in this state.", {"enum": list(approvals.STATES)}),
        _parameter("query", "top", "So many at most.", {"type": "integer", "minimum": 1, "maximum": 1000}),
    ]
    damaged = {"type": "array", "items": {"type": "string"}, "description": DAMAGED_APPROVALS}
    found = {"type": "object", "properties": {"approvals": {"type": "array", "items": APPROVAL}, "damaged": damaged}}
    summary = "List questions to people, those first whose time is over first."
    return _operation(summary, parameters, {200: found, 400: PROBLEM})


def _decide(summary: str, named: dict[str, Any], *more: str) -> dict[str, Any]:
    decision = {"enum": list(approvals.VOTES)}
    reason = {"type": ["string", "null"], "maxLength": LONGEST_REASON}
    properties = {"decision": decision, "reason": reason, **{name: {"type": "string"} for name in more}}
    schema = {"type": "object", "required": ["decision", *more], "properties": properties}
    types = ["application/json"] if more else ["application/json", "application/x-www-form-urlencoded"]
    body = {"required": True, "content": {type: {"schema": schema} for type in types}}
    refusals = (400, 404, 409, 410, 413, 503) if more else (400, 403, 404, 409, 410, 413, 503)
    return _operation(summary, [named], {200: APPROVAL} | dict.fromkeys(refusals, PROBLEM)) | {"requestBody": body}


def _run_schedule() -> dict[str, Any]:
    named = {"in": "path", "name": "name", "required": True, "schema": {"enum": sorted(SCHEDULES)}}
    moment = {"type": "string", "format": "date-time", "description": "The newest occurrence until then, or until now."}
    body = {"content": {"application/json": {"schema": {"type": "object", "properties": {"scheduledAt": moment}}}}}
    answers = {200: RAN, 202: RAN} | dict.fromkeys((400, 404, 503), PROBLEM)
    return _operation("Run one occurrence of a schedule, once.", [named], answers) | {"requestBody": body}


def _list_dead_letters() -> dict[str, Any]:
    parameters = [
        _parameter("query", "reason", "Only those with this reason."),
        _parameter("query", "kind", "Only those of jobs of this kind."),
        _parameter("query", "olderThan", "Only older ones: 90s, 30m, 12h, 7d."),
        _parameter("query", "top", "So many at most.", {"type": "integer", "minimum": 1, "maximum": 1000}),
    ]
    found = {"type": "object", "properties": {"deadLetters": {"type": "array", "items": DEAD_LETTER}}}
    return _operation("List dead letters: who, why and since when.", parameters, {200: found, 400: PROBLEM})


def _named() -> list[dict[str, Any]]:
    return [
        {"in": "path", "name": "kind", "required": True, "schema": {"enum": sorted(KINDS)}},
        {"in": "path", "name": "id", "required": True, "schema": {"type": "string"}},
    ]


def _parameter(place: str, name: str, description: str, schema: dict[str, Any] | None = None) -> dict[str, Any]:
    return {"in": place, "name": name, "description": description, "schema": schema or {"type": "string"}}


def _operation(summary: str, parameters: list[dict[str, Any]], answers: dict[int, Any]) -> dict[str, Any]:
    """`answers`: the schema of each by its status, None for an answer without a body."""
    responses = {}
    for status, schema in answers.items():
        media_type = "application/problem+json" if schema is PROBLEM else "application/json"
        responses[str(status)] = {"description": _MEANING[status]}
        if schema is not None:
            responses[str(status)]["content"] = {media_type: {"schema": schema}}
    return {"summary": summary, "parameters": parameters, "responses": responses}


DASHBOARD = {
    "summary": "The page that people look at. It holds no data, and asks them for a key.",
    "parameters": [],
    "responses": {
        "200": {"description": "The page", "content": {"text/html": {}}},
        "304": {"description": "It is as you have it"},
    },
}
APPROVAL_ID = _parameter("path", "id", "As a list names it: `order-A-1001`.") | {"required": True}
TOKEN = _parameter("path", "token", "What was mailed.") | {"required": True}
LOOKED = {200: APPROVAL} | dict.fromkeys((403, 404, 410, 503), PROBLEM)
LETTER = _parameter("path", "id", "As a list names it: `poison-jobs-17`.") | {"required": True}
WITH_BODY = _parameter("query", "body", "`true`: with what failed, which may be sensitive.", {"type": "boolean"})

_MEANING = {
    200: "As it is now",
    304: "It is as you have it",
    202: "Accepted",
    204: "It is gone",
    400: "Not right; each wrong field is named",
    401: "Not signed with the app's secret, or too long ago",
    403: "The link is none of ours",
    404: "There is none",
    409: "Not in this state",
    410: "Too late",
    413: "Too large",
    503: "A service is missing; it is named",
}
