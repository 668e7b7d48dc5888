"""The payment gateway's HTTP API, and what its answers mean for a job: try again, or never again."""

from __future__ import annotations

from typing import Any

from jobs.errors import PermanentError, TransientError
from jobs.http_service import HttpService


class CardDeclinedError(PermanentError):
    """The bank said no."""


class PaymentRefusedError(PermanentError):
    """The gateway will not do this, now or later."""

    def __init__(self, message: str, status: int):
        super().__init__(message)
        self.status = status


class GatewayUnavailableError(TransientError):
    """The gateway was busy, failed or could not be reached. It may or may not have done what it was asked to."""


GATEWAY = HttpService("the payment gateway", "payment_gateway_url", "gateway_timeout", GatewayUnavailableError)


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
    """The entries of a reference, in order: `kind` (authorization, charge, refund, void), `id`, `amount`, `key`."""
    return (await _call("GET", "/payments/ledger", None, correlation_id, {"reference": reference}))["entries"]


async def _call(method: str, path: str, key: str | None, correlation_id: str, fields: dict[str, Any]) -> dict[str, Any]:
    answer = await GATEWAY.ask(method, path, correlation_id, key=key, fields=fields)
    if answer.status == 402:
        raise CardDeclinedError("the card was declined")
    if answer.is_error:
        raise PaymentRefusedError(
            f"the payment gateway refused: {answer.status} {answer.body.get('code')}", answer.status
        )
    return answer.body
