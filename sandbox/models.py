"""The bodies that the sandbox accepts, checked before any rule looks at them."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

Text = Annotated[str, Field(min_length=1, max_length=200)]
MinorUnits = Annotated[int, Field(strict=True, gt=0, le=1_000_000_000)]
Currency = Annotated[str, Field(pattern=r"^[A-Z]{3}$")]
Operation = Literal["authorize", "charge", "refund", "void", "mail", "book", "track", "webhook"]
FaultKind = Literal["decline", "throttle", "error", "slow", "drop_before", "drop_after", "rubbish", "duplicate", "lost"]
"""`rubbish` answers 200 with a page instead of JSON; `duplicate` and `lost` are for webhooks."""
ParcelState = Literal["announced", "collected", "in-transit", "out-for-delivery", "delivered", "returned"]


class Body(BaseModel):
    """A JSON object with camelCase names and no unknown members."""

    model_config = ConfigDict(extra="forbid", frozen=True, alias_generator=to_camel, populate_by_name=True)


class Authorization(Body):
    """May `amount` minor units be taken from this card? Moves no money."""

    reference: Text
    customer: Text
    card: Text
    amount: MinorUnits
    currency: Currency


class Charge(Body):
    """Take `amount` minor units against an authorization."""

    authorization: Text
    reference: Text
    customer: Text
    amount: MinorUnits
    currency: Currency


class Refund(Body):
    """Give `amount` minor units of a charge back."""

    charge: Text
    reference: Text
    amount: MinorUnits


class Void(Body):
    """Release an authorization that was not charged."""

    authorization: Text


class Booking(Body):
    """Take a parcel of that reference to where it belongs."""

    reference: Text


class Tracking(Body):
    """Where is this parcel?"""

    parcel: Text


class Movement(Body):
    """The parcel has come to this state."""

    state: ParcelState


class WebhookTarget(Body):
    """Where each movement is told, and by which secret (`whsec_…`) it is signed."""

    url: Annotated[str, Field(pattern=r"^https?://", max_length=2000)]
    secret: Annotated[str, Field(pattern=r"^whsec_[A-Za-z0-9+/]{8,}={0,2}$", max_length=200)]


class Journey(Body):
    """Each new parcel comes to its next state every so many seconds, by itself. None: only when it is told to."""

    seconds: Annotated[float, Field(gt=0, le=86_400)] | None


class Condition(Body):
    """Which requests a fault hits: those that agree with every member given, so none given hits all."""

    customer: Text | None = None
    reference: Text | None = None
    operation: Operation | None = None
    recipient: Text | None = None


class FaultOrder(Body):
    """A fault to come: what happens, to whom, and how often (`times` left out: for ever). Times in seconds."""

    fault: FaultKind
    when: Condition = Condition()
    times: Annotated[int, Field(gt=0)] | None = None
    retry_after: Annotated[int, Field(ge=0, le=3600)] = 1
    delay: Annotated[float, Field(ge=0, le=600)] = 1.0
