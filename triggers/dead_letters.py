"""The HTTP doors to the dead letters, for operators: list, look, replay, discard. They take an admin key.

A list never shows what failed, since that may be sensitive; one letter does, when asked to.
"""

import base64
import re
from datetime import timedelta

import azure.durable_functions as df
import azure.functions as func

from jobs import dead_letters, replay
from jobs.errors import InvalidInputError
from jobs.replay import Outcome
from triggers.answers import answer_json, answering
from triggers.requests import top_of

blueprint = df.Blueprint()

UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


@blueprint.route(route="dead-letters", methods=["GET"], auth_level=func.AuthLevel.ADMIN)
@answering
async def list_dead_letters(req: func.HttpRequest) -> func.HttpResponse:
    found = dead_letters.find(
        reason=req.params.get("reason"),
        kind=req.params.get("kind"),
        older_than=_span(req.params.get("olderThan")),
        limit=top_of(req, 50),
    )
    return answer_json({"deadLetters": [each.to_dict() async for each in found]})


@blueprint.route(route="dead-letters/{id}", methods=["GET"], auth_level=func.AuthLevel.ADMIN)
@answering
async def get_dead_letter(req: func.HttpRequest) -> func.HttpResponse:
    found = await dead_letters.get(req.route_params["id"])
    shown = found.to_dict()
    if req.params.get("body") == "true":
        shown |= _shown(await found.body())
    return answer_json(shown, headers={"Cache-Control": "no-store"})


@blueprint.route(route="dead-letters/{id}/replay", methods=["POST"], auth_level=func.AuthLevel.ADMIN)
@answering
async def replay_dead_letter(req: func.HttpRequest) -> func.HttpResponse:
    [outcome] = [each async for each in replay.replay([req.route_params["id"]])]
    _raise(outcome)
    return answer_json(outcome.to_dict(), 202)


@blueprint.route(route="dead-letters/{id}", methods=["DELETE"], auth_level=func.AuthLevel.ADMIN)
@answering
async def discard_dead_letter(req: func.HttpRequest) -> func.HttpResponse:
    [outcome] = [each async for each in replay.discard([req.route_params["id"]])]
    _raise(outcome)
    return func.HttpResponse(status_code=204)


def _raise(outcome: Outcome) -> None:
    if outcome.error:
        raise outcome.error


def _shown(body: bytes) -> dict[str, str]:
    """The body as text, or as base64 what is none."""
    try:
        return {"body": body.decode()}
    except UnicodeDecodeError:
        return {"bodyBase64": base64.b64encode(body).decode()}


def _span(text: str | None) -> timedelta | None:
    if text is None:
        return None
    if not (found := re.fullmatch("([0-9]{1,6})([smhd])", text)):
        raise InvalidInputError("olderThan: a number and a unit of time, for example 90s, 30m, 12h or 7d")
    return timedelta(**{UNITS[found[2]]: int(found[1])})
