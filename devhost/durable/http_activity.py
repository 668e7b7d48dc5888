"""The built-in activity behind context.call_http: one real request, polled to its end when the answer is 202."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import aiohttp
from yarl import URL

from devhost.invocation import FunctionInvocationError

DEFAULT_POLL_SECONDS = 30.0
_NOT_REPEATED = frozenset({"x-functions-key", "content-type", "content-length"})
_CONTENT_HEADERS = frozenset(
    {"allow", "content-disposition", "content-encoding", "content-language", "content-length", "content-location",
     "content-md5", "content-range", "content-type", "expires", "last-modified"}
)  # fmt: skip
"""Headers that .NET counts to the content; the orchestrator is not shown them (durable.md §2.6)."""


class HttpActivity:
    """Makes the requests of one host.

    A 202 with a Location is polled inside the activity, as the Python SDK knows only one task for a call_http. The
    pauses (Retry-After, else 30 seconds) are real time, whatever the host's clock: the other side lives in real time
    too.
    """

    def __init__(self, poll_seconds: float = DEFAULT_POLL_SECONDS) -> None:
        self._poll_seconds = poll_seconds
        self._session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        """Give up the connections."""
        if self._session is not None:
            await self._session.close()

    async def run(self, input: str | None) -> str:
        """The answer to the request in `input` (JSON text), as JSON text {statusCode, headers, content}.

        Raises FunctionInvocationError when there is no answer, or when the request asks for a token.
        """
        request = json.loads(input or "{}")
        if request.get("tokenSource"):
            raise FunctionInvocationError(
                "NotSupportedException: call_http with a token source needs Microsoft Entra ID, which devhost cannot "
                "reach. Leave token_source out locally (for example when a setting says so)."
            )
        try:
            return await self._request(request)
        except (aiohttp.ClientError, TimeoutError, ValueError, OSError) as error:
            raise FunctionInvocationError(
                f"HttpRequestException: {request.get('method')} {request.get('uri')} has got no answer: "
                f"{str(error) or type(error).__name__}"
            ) from error

    async def _request(self, request: dict[str, Any]) -> str:
        headers = {str(name): str(value) for name, value in (request.get("headers") or {}).items()}
        url = URL(request["uri"])
        answer = await self._send(request["method"], url, headers, request.get("content"))
        repeated = {name: value for name, value in headers.items() if name.lower() not in _NOT_REPEATED}
        while answer[0] == 202 and (location := answer[1].get("Location")):
            await asyncio.sleep(_retry_after(answer[1].get("Retry-After"), self._poll_seconds))
            url = url.join(URL(location))
            answer = await self._send("GET", url, repeated, None)
        status, received, content = answer
        shown: dict[str, Any] = {}
        for name in received:
            if name.lower() not in _CONTENT_HEADERS:
                values = received.getall(name)
                shown[name] = values[0] if len(values) == 1 else values
        return json.dumps({"statusCode": status, "headers": shown, "content": content})

    async def _send(self, method: str, url: URL, headers: dict[str, str], content: str | None) -> tuple[int, Any, str]:
        if self._session is None:
            self._session = aiohttp.ClientSession()
        if content is not None and not any(name.lower() == "content-type" for name in headers):
            headers = {**headers, "Content-Type": "text/plain; charset=utf-8"}
        async with self._session.request(
            method, url, headers=headers, data=None if content is None else content.encode()
        ) as response:
            if response.content_type.startswith("multipart/"):
                raise ValueError("the answer is multipart, which call_http does not take")
            return response.status, response.headers, await response.text(errors="replace")


def _retry_after(value: str | None, default: float) -> float:
    """Seconds to wait: Retry-After holds seconds or a date."""
    if not value:
        return default
    try:
        return max(float(value), 0.0)
    except ValueError:
        pass
    try:
        return max((parsedate_to_datetime(value) - datetime.now(UTC)).total_seconds(), 0.0)
    except (ValueError, TypeError):
        return default
