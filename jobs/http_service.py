"""How the app asks another service over HTTP: JSON goes in, a JSON object comes out; all else is an outage."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import aiohttp

from jobs.clients import clients
from jobs.errors import TransientError
from jobs.settings import settings

BUSY = {408, 425, 429}
LARGEST_ANSWER = 1024 * 1024
"""Bytes. What a service answers is read to its end, and whatever is at its URL may answer without one."""


@dataclass(frozen=True)
class Answer:
    """What a service answered that is there and not busy. Without an error `body` is what was asked for."""

    status: int
    body: dict[str, Any]

    @property
    def is_error(self) -> bool:
        """Whether it will not do what it was asked to, now or later."""
        return self.status >= 300


@dataclass(frozen=True)
class HttpService:
    """A service that the app calls."""

    name: str
    """What errors call it: `the payment gateway`."""
    url: str
    """The setting with its URL, as an attribute of Settings."""
    timeout: str
    """The setting with the seconds that it has to answer, likewise."""
    unavailable: type[TransientError]

    async def ask(
        self, method: str, path: str, correlation_id: str, *, key: str | None = None, fields: dict[str, Any]
    ) -> Answer:
        """One request. `fields` go into the query of a GET, else into the body; `key` makes a repetition known.

        Raises SettingMissingError, and the service's `unavailable` when it was busy, failed, could not be reached, or
        answered with something else than JSON: it may or may not have done what it was asked to.
        """
        headers = {"x-correlation-id": correlation_id} | ({"Idempotency-Key": key} if key else {})
        content = {"params": fields} if method == "GET" else {"json": fields}
        url = settings().required(self.url) + path
        timeout = aiohttp.ClientTimeout(total=getattr(settings(), self.timeout))
        try:
            async with clients().http.request(method, url, headers=headers, timeout=timeout, **content) as response:
                body = _object(await self._content(response))
        except (aiohttp.ClientError, TimeoutError) as error:
            raise self.unavailable(
                f"no answer from {self.name} ({type(error).__name__}): is it running at {self.url.upper()}?"
            ) from error
        if response.status in BUSY or response.status >= 500:
            raise self.unavailable(
                f"{self.name} answered {response.status}", _seconds(response.headers.get("Retry-After"))
            )
        if response.status < 300 and not body:
            raise self.unavailable(f"{self.name}'s answer is no JSON: is something else at its URL?")
        return Answer(response.status, body)

    async def _content(self, response: aiohttp.ClientResponse) -> bytes:
        content = bytearray()
        async for chunk in response.content.iter_any():
            content += chunk
            if len(content) > LARGEST_ANSWER:
                raise self.unavailable(f"{self.name}'s answer does not end: is something else at its URL?")
        return bytes(content)


def _object(content: bytes) -> dict[str, Any]:
    """The JSON object in an answer. Empty for anything else: proxies and firewalls answer with pages of their own."""
    try:
        value = json.loads(content)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _seconds(retry_after: str | None) -> float | None:
    """A Retry-After header: seconds, or the date until which to wait."""
    if retry_after is None:
        return None
    if retry_after.isdecimal():
        return float(retry_after)
    try:
        return max(0.0, (parsedate_to_datetime(retry_after) - datetime.now(UTC)).total_seconds())
    except (TypeError, ValueError):
        return None
