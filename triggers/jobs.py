"""The HTTP door to a job: submit it, read its status, cancel it."""

import math
import re
from datetime import datetime
from uuid import uuid4

import azure.durable_functions as df
import azure.functions as func
from pydantic import ValidationError

from jobs import cancellation, clock, ids, intake, status, strict_json
from jobs.catalog import kind_named
from jobs.errors import InvalidInputError, JobNotFoundError, NotAJobError
from jobs.inputs import IDENTIFIER
from jobs.job import CORRELATION_ID, Envelope, invalid, parse
from triggers.answers import answer_json, answering
from triggers.conditional import answer_unless_seen, is_seen
from triggers.requests import body_of

blueprint = df.Blueprint()

LARGEST_BODY = 256 * 1024
LONGEST_WAIT = 60.0
RETRY_AFTER = "2"
TRACEPARENT = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}")
WAIT = re.compile(r"(?:^|[,;\s])wait=(\d{1,6})(?:$|[,;\s])")


@blueprint.route(route="jobs/{kind}", methods=["POST"])
@blueprint.durable_client_input(client_name="client")
@answering
async def submit_job(req: func.HttpRequest, client: df.DurableOrchestrationClient) -> func.HttpResponse:
    kind = kind_named(req.route_params["kind"])
    input = _body(req)
    try:
        envelope = Envelope(
            kind=kind.name,
            id=req.headers.get("Idempotency-Key") or ids.missing({"kind": kind.name, "input": input}, uuid4().hex),
            input=input,
            correlation_id=_correlation_id(req),
            priority=req.params.get("priority", "normal"),
            # By the name that the sender knows, which the error says.
            notBefore=_moment(req.params.get("notBefore")),
            callbackUrl=req.params.get("callbackUrl"),
            replyTo=req.params.get("replyTo"),
        )
    except ValidationError as error:
        raise invalid(error, "the request is not right") from None
    submission = await intake.submit(parse(envelope), client)
    job = submission.entry.job
    headers = {"x-correlation-id": job.correlation_id}
    if (seconds := _patience(req)) is not None:
        await status.wait(job.kind, job.id, seconds)
        headers |= _applied(seconds)
        found = await status.read(job.kind, job.id, client)
    else:
        found = await status.describe(submission.entry, None if submission.is_new else client)
    if status.is_final(found) or not submission.is_new:
        return answer_json(found, 200, headers)
    location = f"/api/jobs/{job.kind}/{job.id}"
    return answer_json(found, 202, headers | {"Location": location, "Retry-After": _retry_after(found)})


@blueprint.route(route="jobs/{kind}/{id}", methods=["GET"])
@blueprint.durable_client_input(client_name="client")
@answering
async def get_job(req: func.HttpRequest, client: df.DurableOrchestrationClient) -> func.HttpResponse:
    kind, id = _job_named(req)
    steps, seconds = _with_steps(req), _patience(req)
    if seconds is None:
        found = await status.read(kind, id, client, steps=steps)
    elif "If-None-Match" in req.headers:
        found = await status.news(kind, id, client, seconds, lambda version: is_seen(req, version), steps=steps)
    else:
        await status.wait(kind, id, seconds)
        found = await status.read(kind, id, client, steps=steps)
    headers = {} if seconds is None else _applied(seconds)
    return answer_unless_seen(req, found, status.version(found), headers)


@blueprint.route(route="jobs/{kind}/{id}/cancel", methods=["POST"])
@blueprint.durable_client_input(client_name="client")
@answering
async def cancel_job(req: func.HttpRequest, client: df.DurableOrchestrationClient) -> func.HttpResponse:
    kind, id = _job_named(req)
    await cancellation.request(kind, id, client)
    headers = {"Location": f"/api/jobs/{kind}/{id}", "Retry-After": RETRY_AFTER}
    return answer_json(await status.read(kind, id, client), 202, headers)


def _job_named(req: func.HttpRequest) -> tuple[str, str]:
    kind, id = req.route_params["kind"], req.route_params["id"]
    if not re.fullmatch(IDENTIFIER, id):
        raise JobNotFoundError("there is no job of that id: ids are letters, digits, '.', '_' and '-'")
    return kind_named(kind).name, id


def _patience(req: func.HttpRequest) -> float | None:
    """So many seconds the caller prefers to wait; None for no time at all."""
    wait = WAIT.search(req.headers.get("Prefer", ""))
    return min(float(wait[1]), LONGEST_WAIT) if wait else None


def _applied(seconds: float) -> dict[str, str]:
    return {"Preference-Applied": f"wait={seconds:.0f}"}


def _with_steps(req: func.HttpRequest) -> bool:
    given = req.params.get("steps", "false")
    if given not in ("true", "false"):
        raise InvalidInputError("steps: true, to see each step of the job, or false")
    return given == "true"


def _body(req: func.HttpRequest) -> dict:
    refusal = f"a job's input may be {LARGEST_BODY // 1024} KB of JSON; put more into a blob"
    body = body_of(req, LARGEST_BODY, refusal)
    if not body:
        raise NotAJobError("the body is empty: send the job's input as JSON, with a Content-Length")
    value = strict_json.loads(body)
    if not isinstance(value, dict):
        raise NotAJobError("the input of a job is a JSON object")
    return value


def _retry_after(found: status.Status) -> str:
    """Seconds after which the status may have changed: not before the job's turn has come."""
    if "heldUntil" not in found:
        return RETRY_AFTER
    wait = datetime.fromisoformat(found["heldUntil"]) - clock.now()
    return str(int(RETRY_AFTER) + math.ceil(max(0.0, wait.total_seconds())))


def _moment(text: str | None) -> str | None:
    """The time in a query, in which a `+` that nobody escaped has become a blank."""
    return text and re.sub(r" (\d\d:?\d\d)$", r"+\1", text)


def _correlation_id(req: func.HttpRequest) -> str:
    """The caller's, by header or W3C trace context, or a new one."""
    if re.fullmatch(CORRELATION_ID, given := req.headers.get("x-correlation-id", "")):
        return given
    if trace := TRACEPARENT.fullmatch(req.headers.get("traceparent", "")):
        return trace[1]
    return uuid4().hex
