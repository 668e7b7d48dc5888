"""The HTTP door to jobs: submit one, read its status, list them, cancel one."""

import base64
import json
import re
from datetime import UTC, datetime
from urllib.parse import urlencode
from uuid import uuid4

import azure.durable_functions as df
import azure.functions as func
from pydantic import ValidationError

from jobs import cancellation, intake, ledger, status, strict_json
from jobs.catalog import kind_named
from jobs.errors import InvalidInputError, JobNotFoundError, NotAJobError, TooLargeError
from jobs.job import Envelope, invalid, parse
from triggers.answers import answer_json, answering

blueprint = df.Blueprint()

LARGEST_BODY = 256 * 1024
LONGEST_WAIT = 60.0
RETRY_AFTER = "2"
ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}")
CORRELATION_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
TRACEPARENT = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}")
WAIT = re.compile(r"(?:^|[,;\s])wait=(\d{1,6})(?:$|[,;\s])")


@blueprint.route(route="jobs/{kind}", methods=["POST"])
@blueprint.durable_client_input(client_name="client")
@answering
async def submit_job(req: func.HttpRequest, client: df.DurableOrchestrationClient) -> func.HttpResponse:
    kind = kind_named(req.route_params["kind"])
    try:
        envelope = Envelope(
            kind=kind.name,
            id=req.headers.get("Idempotency-Key") or uuid4().hex,
            input=_body(req),
            correlation_id=_correlation_id(req),
            priority=req.params.get("priority", "normal"),
        )
    except ValidationError as error:
        raise invalid(error, "the request is not right") from None
    submission = await intake.submit(parse(envelope), client)
    job = submission.entry.job
    headers = {"x-correlation-id": job.correlation_id}
    if wait := WAIT.search(req.headers.get("Prefer", "")):
        seconds = min(float(wait[1]), LONGEST_WAIT)
        await status.wait(job.kind, job.id, seconds)
        headers["Preference-Applied"] = f"wait={seconds:.0f}"
        found = await status.read(job.kind, job.id, client)
    else:
        found = await status.describe(submission.entry, None if submission.is_new else client)
    if status.is_final(found) or not submission.is_new:
        return answer_json(found, 200, headers)
    location = f"/api/jobs/{job.kind}/{job.id}"
    return answer_json(found, 202, headers | {"Location": location, "Retry-After": RETRY_AFTER})


@blueprint.route(route="jobs/{kind}/{id}", methods=["GET"])
@blueprint.durable_client_input(client_name="client")
@answering
async def get_job(req: func.HttpRequest, client: df.DurableOrchestrationClient) -> func.HttpResponse:
    kind, id = _job_named(req)
    return answer_json(await status.read(kind, id, client))


@blueprint.route(route="jobs", methods=["GET"])
@answering
async def list_jobs(req: func.HttpRequest) -> func.HttpResponse:
    entries, continuation = await ledger.page(
        kind=kind_named(req.params["kind"]).name if "kind" in req.params else None,
        state=_state(req.params.get("status")),
        since=_moment(req.params.get("since")),
        top=_top(req.params.get("top", "50")),
        continuation=_continuation(req.params.get("continuationToken")),
    )
    page = {"jobs": [await status.describe(entry, None) for entry in entries]}
    if continuation:
        token = base64.urlsafe_b64encode(json.dumps(continuation).encode()).decode()
        page["continuationToken"] = token
        page["next"] = "/api/jobs?" + urlencode({**req.params, "continuationToken": token})
    return answer_json(page)


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
    if not ID.fullmatch(id):
        raise JobNotFoundError("there is no job of that id: ids are letters, digits, '.', '_' and '-'")
    return kind_named(kind).name, id


def _body(req: func.HttpRequest) -> dict:
    body = req.get_body()
    if len(body) > LARGEST_BODY:
        raise TooLargeError(f"a job's input may be {LARGEST_BODY // 1024} KB of JSON; put more into a blob")
    if not body:
        raise NotAJobError("the body is empty: send the job's input as JSON, with a Content-Length")
    value = strict_json.loads(body)
    if not isinstance(value, dict):
        raise NotAJobError("the input of a job is a JSON object")
    return value


def _correlation_id(req: func.HttpRequest) -> str:
    """The caller's, by header or W3C trace context, or a new one."""
    if CORRELATION_ID.fullmatch(given := req.headers.get("x-correlation-id", "")):
        return given
    if trace := TRACEPARENT.fullmatch(req.headers.get("traceparent", "")):
        return trace[1]
    return uuid4().hex


def _state(text: str | None) -> str | None:
    if text is not None and text not in ledger.STATES:
        raise InvalidInputError(f"status: one of {', '.join(ledger.STATES)}")
    return text


def _moment(text: str | None) -> str | None:
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
        # A '+' that was not escaped in the URL arrives as a blank and is refused.
        return ledger.written(moment if moment.tzinfo else moment.replace(tzinfo=UTC))
    except (ValueError, OverflowError):
        raise InvalidInputError("since: a time as ISO 8601 has it, for example 2026-11-22T10:00:00Z") from None


def _top(text: str) -> int:
    if not re.fullmatch("[0-9]{1,4}", text) or not 1 <= int(text) <= 1000:
        raise InvalidInputError("top: a whole number from 1 to 1000")
    return int(text)


def _continuation(text: str | None) -> dict[str, str] | None:
    if text is None:
        return None
    try:
        token = json.loads(base64.urlsafe_b64decode(text))
        return {name: str(token[name])[:1000] for name in ("PartitionKey", "RowKey")}
    except (ValueError, KeyError, TypeError, RecursionError):
        raise InvalidInputError("continuationToken: use the one that the previous page gave") from None
