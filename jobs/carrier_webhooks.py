"""The carrier's webhooks: signed news of parcels, which call for a look at once.

What is told again (the carrier sends a webhook twice when it is not sure of the first) has no effect: its sequence is
known, whatever its `webhook-id` is, and also when a look has found the same before.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from azure.durable_functions import DurableOrchestrationClient
from pydantic import BaseModel, ConfigDict, ValidationError
from standardwebhooks import Webhook, WebhookVerificationError
from standardwebhooks.webhooks import EmptyWebhookSecretError

from jobs import parcels, strict_json, telemetry
from jobs.carrier import Moved
from jobs.errors import InvalidInputError, NotSignedError, SettingMissingError
from jobs.inputs import Identifier
from jobs.job import invalid
from jobs.settings import settings
from jobs.wakes import wake

MOVED = "parcel.moved"


class _Data(Moved):
    id: Identifier


class _Movement(BaseModel):
    """A webhook of the type `parcel.moved`. What it tells besides is no concern of ours."""

    model_config = ConfigDict(strict=True, hide_input_in_errors=True)

    type: Literal["parcel.moved"]
    data: _Data


async def take(body: bytes, headers: Mapping[str, str], durable: DurableOrchestrationClient) -> None:
    """Check a webhook, enter its news, and wake who watches the parcel. Webhooks of other types are ignored.

    Raises NotSignedError, NotAJobError, InvalidInputError, ParcelNotFoundError; SettingMissingError without the secret.
    """
    _verify(body, headers)
    fields = strict_json.loads(body)
    if not isinstance(fields, dict) or not isinstance(fields.get("type"), str):
        raise InvalidInputError('the webhook is not right: it is a JSON object with "type" and "data"')
    if fields["type"] != MOVED:
        telemetry.webhook_ignored(headers["webhook-id"], "no such type is known")
        return
    movement = _parse(fields)
    found = await parcels.hear(movement.id, movement.change)
    telemetry.parcel_heard_of(found.id, movement.sequence, is_news=bool(found.untold))
    # The look that was woken before may have ended without it, so as long as something is untold each one wakes.
    if found.untold:
        await wake(found.instance, found.wake, durable)


def _verify(body: bytes, headers: Mapping[str, str]) -> None:
    """Standard Webhooks: HMAC over id, time and body, at most five minutes old. Raises NotSignedError."""
    try:
        secret = Webhook(settings().required("carrier_webhook_secret"))
    except (ValueError, EmptyWebhookSecretError) as error:
        raise SettingMissingError(
            "the app setting CARRIER_WEBHOOK_SECRET is no secret: set it to the one that the carrier shows, `whsec_…`"
        ) from error
    try:
        secret.verify(body, dict(headers), json_parse=False)
    except (WebhookVerificationError, ValueError):
        # A ValueError is what the library makes of a signature, or a body, that is no text in its encoding.
        raise NotSignedError(
            "the webhook is not signed with this app's secret, or not within the last five minutes"
        ) from None


def _parse(fields: dict[str, Any]) -> _Data:
    try:
        return _Movement.model_validate(fields).data
    except ValidationError as error:
        raise invalid(error, "the webhook is not right") from None
