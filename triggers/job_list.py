"""The HTTP door to the list of jobs: filtered, page by page or the newest."""

import base64
import json
import re
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

import azure.durable_functions as df
import azure.functions as func

from jobs import ledger, listing, status
from jobs.catalog import kind_named
from jobs.errors import InvalidInputError
from triggers.answers import answer_json, answering
from triggers.requests import top_of

blueprint = df.Blueprint()


@blueprint.route(route="jobs", methods=["GET"])
@answering
async def list_jobs(req: func.HttpRequest) -> func.HttpResponse:
    wanted: dict[str, Any] = {
        "kind": kind_named(req.params["kind"]).name if "kind" in req.params else None,
        "status": _status(req.params.get("status")),
        "since": _moment(req.params.get("since")),
        "top": top_of(req, 50),
    }
    continuation = _continuation(req.params.get("continuationToken"))
    if _is_newest_first(req.params.get("order"), continuation):
        return answer_json(await _newest(wanted))
    found = await listing.page(**wanted, continuation=continuation)
    page = await _page(found)
    if found.continuation:
        token = base64.urlsafe_b64encode(json.dumps(found.continuation).encode()).decode()
        page["continuationToken"] = token
        page["next"] = "/api/jobs?" + urlencode({**_filters(req), "continuationToken": token})
    return answer_json(page)


async def _newest(wanted: dict[str, Any]) -> dict[str, Any]:
    found = await listing.newest(**wanted)
    return await _page(found) | {"since": found.since, "isCut": found.is_cut}


async def _page(found: listing.Page | listing.Newest) -> dict[str, Any]:
    page: dict[str, Any] = {"jobs": [await status.describe(entry, None) for entry in found.entries]}
    if found.damaged:
        page["damaged"] = found.damaged
    return page


def _is_newest_first(order: str | None, continuation: dict[str, str] | None) -> bool:
    if order not in (None, "id", "newest"):
        raise InvalidInputError("order: newest, or id, by kind and id")
    if order == "newest" and continuation:
        raise InvalidInputError("continuationToken: the newest have one page; ask for more with top, or by order=id")
    return order == "newest"


def _filters(req: func.HttpRequest) -> dict[str, str]:
    """What the next page is asked for by; not `code`, which is the caller's function key."""
    return {name: req.params[name] for name in ("kind", "status", "since", "top") if name in req.params}


def _status(text: str | None) -> str | None:
    if text is not None and text not in listing.SHOWN:
        raise InvalidInputError(f"status: one of {', '.join(listing.SHOWN)}")
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


def _printable(text: str) -> str:
    """Storage encodes its marks, so all of them are plain ASCII. Raises ValueError, TypeError."""
    if not re.fullmatch("[!-~]{0,1000}", text):
        raise ValueError
    return text


def _continuation(text: str | None) -> dict[str, str] | None:
    if text is None:
        return None
    try:
        token = json.loads(base64.urlsafe_b64decode(text))
        return {name: _printable(token[name]) for name in ("PartitionKey", "RowKey")}
    except (ValueError, KeyError, TypeError, RecursionError):
        raise InvalidInputError("continuationToken: use the one that the previous page gave") from None
