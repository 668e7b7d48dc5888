"""The HTTP doors to approvals: the page behind a mailed link, which needs no key, and the API, which does.

To look changes nothing, since mail scanners follow links. People are answered with a page, programs with JSON.
"""

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs

import azure.durable_functions as df
import azure.functions as func
from pydantic import ValidationError

from jobs import approval_page, approval_votes, approvals, strict_json
from jobs.approval_votes import Vote, VoteByName
from jobs.approvals import Approval
from jobs.errors import InvalidInputError, NotAJobError
from jobs.job import invalid
from triggers.answers import answer_json, answering
from triggers.requests import body_of, top_of

blueprint = df.Blueprint()

LARGEST_VOTE = 16 * 1024


@blueprint.route(route="approvals/{token}", methods=["GET", "HEAD"], auth_level=func.AuthLevel.ANONYMOUS)
async def show_approval(req: func.HttpRequest) -> func.HttpResponse:
    return _suited(req, await _look(req))


@blueprint.route(route="approvals/{token}", methods=["POST"], auth_level=func.AuthLevel.ANONYMOUS)
@blueprint.durable_client_input(client_name="client")
async def vote_by_link(req: func.HttpRequest, client: df.DurableOrchestrationClient) -> func.HttpResponse:
    return _suited(req, await _vote(req, client))


@blueprint.route(route="approvals", methods=["GET"])
@answering
async def list_approvals(req: func.HttpRequest) -> func.HttpResponse:
    found, damaged = await approvals.find(_state(req.params.get("state")), top_of(req, 100))
    answer: dict[str, Any] = {"approvals": [each.to_dict() for each in found]}
    if damaged:
        answer["damaged"] = damaged
    return answer_json(answer)


@blueprint.route(route="approvals/{id}/decision", methods=["POST"])
@blueprint.durable_client_input(client_name="client")
@answering
async def decide_approval(req: func.HttpRequest, client: df.DurableOrchestrationClient) -> func.HttpResponse:
    vote = _checked(VoteByName, _json(req))
    return answer_json((await approval_votes.vote_by_name(req.route_params["id"], vote, client)).to_dict())


@answering
async def _look(req: func.HttpRequest) -> func.HttpResponse:
    return _shown(req, await approval_votes.look(req.route_params["token"]))


@answering
async def _vote(req: func.HttpRequest, client: df.DurableOrchestrationClient) -> func.HttpResponse:
    vote = _checked(Vote, _json(req) if _is_json(req) else _form(req))
    return _shown(req, await approval_votes.vote_by_link(req.route_params["token"], vote, client))


def _shown(req: func.HttpRequest, approval: Approval) -> func.HttpResponse:
    if _wants_json(req):
        return answer_json(approval.to_dict())
    return func.HttpResponse(approval_page.render(approval), mimetype="text/html", charset="utf-8")


def _suited(req: func.HttpRequest, answer: func.HttpResponse) -> func.HttpResponse:
    """The answer, as a page if a person asked, under headers that keep it from others."""
    if answer.mimetype == "application/problem+json" and not _wants_json(req):
        problem = json.loads(answer.get_body())
        page = approval_page.render_problem(problem["title"], problem["detail"])
        answer = func.HttpResponse(page, status_code=answer.status_code, mimetype="text/html", charset="utf-8")
    for name, value in approval_page.headers().items():
        answer.headers[name] = value
    return answer


def _is_json(req: func.HttpRequest) -> bool:
    return req.headers.get("Content-Type", "").partition(";")[0].strip().lower() == "application/json"


def _wants_json(req: func.HttpRequest) -> bool:
    accept = req.headers.get("Accept", "").lower()
    return "text/html" not in accept and ("json" in accept or _is_json(req))


def _json(req: func.HttpRequest) -> Mapping[str, Any]:
    try:
        value = strict_json.loads(_body(req))
    except NotAJobError as error:
        raise InvalidInputError(str(error)) from None
    if not isinstance(value, dict):
        raise InvalidInputError("a vote is a JSON object with a decision: approve or reject")
    return value


def _form(req: func.HttpRequest) -> Mapping[str, Any]:
    try:
        fields = parse_qs(_body(req).decode(), strict_parsing=True, max_num_fields=10, errors="strict")
    except ValueError:
        raise InvalidInputError("a vote is a form with a decision: approve or reject") from None
    # Browsers end the lines of a text in their own way.
    return {name: values[-1].replace("\r\n", "\n") for name, values in fields.items()}


def _body(req: func.HttpRequest) -> bytes:
    return body_of(req, LARGEST_VOTE, f"a vote may be {LARGEST_VOTE // 1024} KB")


def _checked(model: type[Vote], fields: Mapping[str, Any]) -> Any:
    try:
        return model.model_validate(fields)
    except ValidationError as error:
        raise invalid(error, "the vote is not right") from None


def _state(text: str | None) -> str | None:
    if text is not None and text not in approvals.STATES:
        raise InvalidInputError(f"state: one of {', '.join(approvals.STATES)}")
    return text
