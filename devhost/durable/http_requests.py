"""What the Durable HTTP API reads from a request: paths, bodies, query parameters, continuation tokens."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote

from aiohttp import web

from devhost.durable.client import InvalidRequestError
from devhost.durable.hub import RuntimeStatus

_STATUSES = {status.lower(): status for status in RuntimeStatus}


class Query(Mapping[str, str]):
    """Query parameters, their names without regard to case."""

    def __init__(self, request: web.Request) -> None:
        self._values: dict[str, list[str]] = {}
        for name, value in request.query.items():
            self._values.setdefault(name.lower(), []).append(value)

    def __getitem__(self, name: str) -> str:
        return self._values[name.lower()][-1]

    def __iter__(self) -> Any:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def flag(self, name: str, default: bool) -> bool:
        """A true or false."""
        value = self.get(name)
        return default if value is None or value == "" else value.strip().lower() == "true"

    def number(self, name: str) -> float | None:
        """A number that is not negative. Raises InvalidRequestError."""
        value = self.get(name)
        if value is None or value == "":
            return None
        try:
            number = float(value)
        except ValueError:
            number = -1.0
        if not 0 <= number < 1e9:
            raise InvalidRequestError(f"The query parameter '{name}' must be a positive number, not '{value}'.")
        return number

    def moment(self, name: str) -> datetime | None:
        """A date and time; without an offset it is UTC. Raises InvalidRequestError."""
        value = self.get(name)
        if not value:
            return None
        try:
            moment = datetime.fromisoformat(value.strip().replace(" ", "+") if "T" in value else value.strip())
        except ValueError:
            raise InvalidRequestError(
                f"The query parameter '{name}' must be a date and time like 2026-01-31T12:00:00Z, not '{value}'."
            ) from None
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)

    def statuses(self) -> set[RuntimeStatus] | None:
        """runtimeStatus, separated by commas or given several times. Raises InvalidRequestError."""
        names = [name.strip() for value in self._values.get("runtimestatus", []) for name in value.split(",")]
        unknown = [name for name in names if name and name.lower() not in _STATUSES]
        if unknown:
            raise InvalidRequestError(f"'{unknown[0]}' is not a runtime status. There are {', '.join(RuntimeStatus)}.")
        return {_STATUSES[name.lower()] for name in names if name} or None


def segments(request: web.Request, base: str) -> list[str]:
    """The path below `base`, decoded piece by piece. Raises InvalidRequestError when a piece is not UTF-8."""
    raw = request.rel_url.raw_path[len(base) :].strip("/")
    try:
        return [unquote(piece, errors="strict") for piece in raw.split("/")]
    except UnicodeDecodeError:
        raise InvalidRequestError("The path is not valid UTF-8.") from None


async def json_body(request: web.Request) -> str | None:
    """The body as it came, if it is JSON; None when it is empty. Raises InvalidRequestError."""
    body = await request.read()
    if not body.strip():
        return None
    try:
        text = body.decode("utf-8-sig")
        json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise InvalidRequestError(f"The body is not valid JSON: {error}") from None
    return text


async def entity_input(request: web.Request) -> str | None:
    """An operation's input as JSON text: JSON as it came, other text as a string, no body as null."""
    if request.content_type == "application/json":
        return await json_body(request)
    body = await request.read()
    return json.dumps(body.decode("utf-8", "replace")) if body else None


def encode_token(after_id: str) -> str:
    """A continuation token."""
    return base64.urlsafe_b64encode(json.dumps({"after": after_id}).encode()).decode()


def decode_token(token: str | None) -> str | None:
    """The id that a continuation token continues after. Raises InvalidRequestError."""
    if not token:
        return None
    try:
        return str(json.loads(base64.urlsafe_b64decode(token.encode()))["after"])
    except (ValueError, KeyError, TypeError):
        raise InvalidRequestError("The continuation token is not one that this API has given out.") from None


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")
