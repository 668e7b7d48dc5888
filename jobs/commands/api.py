"""The HTTP API as the commands ask it: only the host knows how far a job is."""

from __future__ import annotations

import asyncio
import json
from typing import Any
from urllib.parse import quote

import aiohttp

from jobs.catalog import KINDS
from jobs.clients import clients
from jobs.errors import JobNotFoundError, PermanentError, TransientError
from jobs.settings import settings

PATIENCE = aiohttp.ClientTimeout(total=60)


class HostUnreachableError(TransientError):
    """The host did not answer."""


class KeyRefusedError(PermanentError):
    """The host wants another function key."""


class RefusedError(PermanentError):
    """The host would not do what it was asked."""


class AmbiguousIdError(PermanentError):
    """Jobs of several kinds have this id."""


async def ask(method: str, path: str, **params: str) -> Any:
    """One request; returns the JSON that was answered.

    Raises HostUnreachableError, KeyRefusedError, JobNotFoundError, RefusedError, with what the host says.
    """
    url, key = settings().nightshift_url, settings().nightshift_key
    headers = {"x-functions-key": key} if key else {}
    request = clients().http.request(method, f"{url}{path}", params=params, headers=headers, timeout=PATIENCE)
    try:
        async with request as answer:
            status, text = answer.status, await answer.text()
    except (aiohttp.ClientError, TimeoutError) as error:
        raise HostUnreachableError(
            f"no answer from {url} ({type(error).__name__}): start the host with `make run`, "
            "or set NIGHTSHIFT_URL to where it is"
        ) from None
    if status in (401, 403):
        raise KeyRefusedError(
            f"{url} wants a function key, and not the one it got if it got one: set NIGHTSHIFT_KEY "
            "(devhost keeps its keys in .devhost/keys.json)"
        )
    try:
        content = json.loads(text)
        if status == 404:
            raise JobNotFoundError(content["detail"])
        if status >= 400:
            raise RefusedError(f"{content['title']}: {content['detail']}")
    except (ValueError, KeyError, TypeError):
        raise RefusedError(f"{url} answered {status}, and not as the app does: is NIGHTSHIFT_URL right?") from None
    return content


def path_of(kind: str, id: str) -> str:
    """The path of a job."""
    return f"/api/jobs/{quote(kind, safe='')}/{quote(id, safe='')}"


async def find(name: str) -> dict[str, Any]:
    """The status of the job that a person calls `order/A-1001`, or `A-1001`.

    Raises JobNotFoundError, AmbiguousIdError, and what `ask` raises.
    """
    kind, slash, id = name.partition("/")
    if slash:
        return await ask("GET", path_of(kind, id))
    found = [status for status in await asyncio.gather(*(_if_any(kind, name) for kind in KINDS)) if status]
    if not found:
        raise JobNotFoundError(f"there is no job {name!r} of any kind: one that was just sent is still in its queue")
    if len(found) > 1:
        names = " or ".join(f"{status['kind']}/{name}" for status in found)
        raise AmbiguousIdError(f"several jobs have the id {name!r}: say {names}")
    return found[0]


async def _if_any(kind: str, id: str) -> dict[str, Any] | None:
    try:
        return await ask("GET", path_of(kind, id))
    except JobNotFoundError:
        return None
