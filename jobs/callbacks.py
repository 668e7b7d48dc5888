"""Callbacks: a job's outcome, sent to the URL that its sender named, signed as Standard Webhooks has it.

`webhook-id` is the same in every try, so that a receiver which has seen it need not act again. Every answer of 2xx
acknowledges it. 410 Gone ends it for good; all others, redirects among them, are failures that are tried again.
"""

from __future__ import annotations

import json
from typing import Any

import aiohttp
from standardwebhooks.webhooks import EmptyWebhookSecretError, Webhook
from yarl import URL

from jobs import callback_guard, clock, status
from jobs.callback_guard import CallbackRefusedError
from jobs.entry import Entry
from jobs.errors import PermanentError, SettingMissingError, TransientError
from jobs.settings import settings

GONE = 410
LARGEST_HEADER = 8190
"""Bytes of a line of an answer's head."""
LARGEST_READ = 4096
"""Bytes of an answer's body that may come with its head. The app does not read it."""
LONGEST_RETRY_AFTER = 86_400.0


class CallbackFailedError(TransientError):
    """The callback was not acknowledged: no answer, or another one than 2xx."""


class CallbackGoneError(PermanentError):
    """The receiver says that it wants no more callbacks."""


def signer() -> Webhook:
    """Signs callbacks. Raises SettingMissingError."""
    try:
        return Webhook(settings().required("webhook_secret"))
    except (ValueError, EmptyWebhookSecretError):
        raise SettingMissingError(
            "the app setting WEBHOOK_SECRET must be base64 text, with or without whsec_ before it, by which receivers "
            "verify callbacks: make one with `openssl rand -base64 32`"
        ) from None


async def content(entry: Entry) -> dict[str, Any]:
    """What is sent: `type`, `timestamp` of the end, and the job's status as `data`."""
    data = await status.outcome(entry)
    return {"type": f"job.{entry.state.lower()}", "timestamp": entry.completed_at, "data": data}


async def send(entry: Entry, id: str) -> None:
    """Tell the outcome of the job. `id`: the same in each try.

    Raises CallbackFailedError, CallbackGoneError, CallbackRefusedError, SettingMissingError.
    """
    body = json.dumps(await content(entry))
    now = clock.now()
    headers = {
        "Content-Type": "application/json",
        "User-Agent": "nightshift",
        "webhook-id": id,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": signer().sign(id, now, body),
    }
    try:
        url = callback_guard.check(entry.callback_url or "")
    except ValueError as error:
        # It was right when it was submitted: CALLBACK_ALLOWED_HOSTS is another since.
        raise CallbackRefusedError(f"the callback URL {error}") from None
    await _post(url, body.encode(), headers)


async def _post(url: URL, body: bytes, headers: dict[str, str]) -> None:
    session = aiohttp.ClientSession(
        connector=callback_guard.connector(),
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=settings().callback_timeout),
        # No proxy of the environment: it would open the connection, unguarded.
        trust_env=False,
        read_bufsize=LARGEST_READ,
        max_line_size=LARGEST_HEADER,
        max_field_size=LARGEST_HEADER,
    )
    try:
        async with session, session.post(url, data=body, headers=headers, allow_redirects=False) as answer:
            _judge(answer)
    except TimeoutError:
        raise CallbackFailedError(f"no answer within {settings().callback_timeout:.3g} s") from None
    except (aiohttp.ClientError, OSError) as error:
        # Its text names the URL.
        raise CallbackFailedError(f"no answer ({type(error).__name__})") from None


def _judge(answer: aiohttp.ClientResponse) -> None:
    if 200 <= answer.status < 300:
        return
    if answer.status == GONE:
        raise CallbackGoneError("the receiver answered 410: it wants no more callbacks")
    raise CallbackFailedError(f"the receiver answered {answer.status}", _retry_after(answer.headers.get("Retry-After")))


def _retry_after(text: str | None) -> float | None:
    """Seconds; a date, which few send, is not heeded."""
    if text is None or not text.isascii() or not text.isdigit():
        return None
    return min(float(text), LONGEST_RETRY_AFTER)
