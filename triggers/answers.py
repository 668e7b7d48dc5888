"""HTTP answers: JSON, or problem+json (RFC 9457) for every error, whatever went wrong behind the door."""

from __future__ import annotations

import functools
import json
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import azure.functions as func
from azure.core.exceptions import AzureError

from jobs.bodies import BodyMissingError
from jobs.errors import (
    ApprovalDecidedError,
    ApprovalNotFoundError,
    ApprovalOverError,
    DamagedRowError,
    InvalidInputError,
    JobConflictError,
    JobError,
    JobNotFoundError,
    LetterNotFoundError,
    LinkForgedError,
    NotAJobError,
    NotSignedError,
    ReplayRefusedError,
    ScheduleNotFoundError,
    SettingMissingError,
    TooLargeError,
    TooLateError,
    TransientError,
    UnknownKindError,
)
from jobs.parcels import ParcelNotFoundError

logger = logging.getLogger("nightshift")

Door = Callable[..., Awaitable[func.HttpResponse]]

_STATUS: dict[type[JobError], tuple[int, str]] = {
    NotAJobError: (400, "Not a job"),
    InvalidInputError: (400, "Invalid input"),
    LinkForgedError: (403, "No such link"),
    NotSignedError: (401, "Not signed"),
    UnknownKindError: (404, "Unknown kind"),
    ParcelNotFoundError: (404, "No such parcel"),
    JobNotFoundError: (404, "No such job"),
    LetterNotFoundError: (404, "No such dead letter"),
    ScheduleNotFoundError: (404, "No such schedule"),
    ApprovalNotFoundError: (404, "No such approval"),
    DamagedRowError: (500, "Damaged"),
    BodyMissingError: (409, "Nothing to replay"),
    ReplayRefusedError: (409, "Not to be replayed"),
    JobConflictError: (409, "The id is taken"),
    TooLateError: (409, "Too late"),
    ApprovalDecidedError: (409, "Decided already"),
    ApprovalOverError: (410, "Too late"),
    TooLargeError: (413, "Too large"),
    TransientError: (503, "Not now"),
    SettingMissingError: (503, "Not configured"),
}
"""What an error of a job is in HTTP: status and title."""


def answering(door: Door) -> Door:
    """Let a door answer with problem+json for what it raises."""

    @functools.wraps(door)
    async def answer(*args: Any, **kwargs: Any) -> func.HttpResponse:
        try:
            return await door(*args, **kwargs)
        except JobError as error:
            status, title = next(
                (known for type, known in _STATUS.items() if isinstance(error, type)), (500, "Internal error")
            )
            if status >= 500:
                logger.exception("a door could not do what it was asked to")
            return problem(status, title, str(error), errors=getattr(error, "fields", None))
        except (AzureError, aiohttp.ClientError, TimeoutError) as error:
            logger.exception("a service that the app needs did not answer")
            detail = f"a service that the app needs did not answer ({type(error).__name__}); GET /api/health names it"
            return problem(503, "Not now", detail, headers={"Retry-After": "5"})
        except Exception:
            logger.exception("a door failed")
            return problem(500, "Internal error", "the app failed; its log says how")

    return answer


def answer_json(value: Any, status: int = 200, headers: dict[str, str] | None = None) -> func.HttpResponse:
    return func.HttpResponse(json.dumps(value), status_code=status, headers=headers, mimetype="application/json")


def problem(
    status: int, title: str, detail: str, *, headers: dict[str, str] | None = None, errors: Any = None
) -> func.HttpResponse:
    """An error as RFC 9457 has it. `errors` names each field that is wrong."""
    body = {"type": "about:blank", "title": title, "status": status, "detail": detail}
    if errors:
        body["errors"] = errors
    return func.HttpResponse(json.dumps(body), status_code=status, headers=headers, mimetype="application/problem+json")
