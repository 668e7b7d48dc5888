"""The payment gateway's HTTP API, and what its answers mean for a job: try again, or never again."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import aiohttp

from jobs.clients import clients
from jobs.errors import PermanentError, TransientError
from jobs.settings import settings

BUSY = {408, 425, 429}


class CardDeclinedError(PermanentError):
    """The bank said no."""


class PaymentRefusedError(PermanentError):
    """The gateway will not do this, now or later."""

    def __init__(self, message: str, status: int):
        super().__init__(message)
        self.status = status


class GatewayUnavailableError(TransientError):
    """The gateway was busy, failed or could not be reached. It may or may not have done what it was asked to."""


async def authorize(key: str, correlation_id: str, **fields: Any) -> str:
    """Have an amount set aside on a card, and return the authorization's id.

    `fields`: reference, customer, card, amount (minor units), currency. Raises CardDeclinedError.
    """
    return (await _call("POST", "/payments/authorizations", key, correlation_id, fields))["id"]


async def charge(key: str, correlation_id: str, **fields: Any) -> str:
    """Take an authorized amount, and return the charge's id. `fields`: as above, but `authorization` for `card`."""
    return (await _call("POST", "/payments/charges", key, correlation_id, fields))["id"]


async def refund(key: str, correlation_id: str, **fields: Any) -> str:
    """Give an amount of a charge back, and return the refund's id. `fields`: charge, reference, amount."""
    return (await _call("POST", "/payments/refunds", key, correlation_id, fields))["id"]


async def void(key: str, correlation_id: str, authorization: str) -> None:
    """Release what was set aside. Raises PaymentRefusedError with status 409 when it has been charged."""
    await _call("POST", f"/payments/authorizations/{authorization}/void", key, correlation_id, {})


async def ledger(reference: str, correlation_id: str) -> list[dict[str, Any]]:
    """What is booked under a reference, in order: `kind` (authorization, charge, refund, void), `id`, `amount`."""
    return (await _call("GET", "/payments/ledger", None, correlation_id, {"reference": reference}))["entries"]


async def _call(method: str, path: str, key: str | None, correlation_id: str, fields: dict[str, Any]) -> dict[str, Any]:
    headers = {"x-correlation-id": correlation_id} | ({"Idempotency-Key": key} if key else {})
    content = {"params": fields} if method == "GET" else {"json": fields}
    url = settings().required("payment_gateway_url") + path
    timeout = aiohttp.ClientTimeout(total=settings().gateway_timeout)
    try:
        async with clients().http.request(method, url, headers=headers, timeout=timeout, **content) as response:
            body = _object(await response.read())
    except (aiohttp.ClientError, TimeoutError) as error:
        raise GatewayUnavailableError(
            f"no answer from the payment gateway ({type(error).__name__}): is it running at PAYMENT_GATEWAY_URL?"
        ) from error
    if response.status < 300 and body:
        return body
    if response.status < 300:
        raise GatewayUnavailableError("the payment gateway's answer is no JSON: is something else at its URL?")
    if response.status == 402:
        raise CardDeclinedError("the card was declined")
    if response.status in BUSY or response.status >= 500:
        raise GatewayUnavailableError(
            f"the payment gateway answered {response.status}", _seconds(response.headers.get("Retry-After"))
        )
    raise PaymentRefusedError(f"the payment gateway refused: {response.status} {body.get('code')}", response.status)


def _object(content: bytes) -> dict[str, Any]:
    """The JSON object in an answer. Empty for anything else: proxies and firewalls answer with pages of their own."""
    try:
        value = json.loads(content)
    except ValueError:
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
