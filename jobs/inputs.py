"""What a job of each kind must be given: pydantic models that refuse what they do not know."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic.alias_generators import to_camel

from jobs import clock


def _real_day(text: str) -> str:
    date.fromisoformat(text)
    return text


def _no_steps(name: str) -> str:
    """An HTTP client takes the steps `.` and `..` in the name for its own, and would ask for a blob elsewhere."""
    if {".", ".."} & set(name.split("/")):
        raise ValueError("must not have '.' or '..' between slashes")
    return name


class Sensitive:
    """Marks a field that must not travel in queue messages, the Durable history, logs or statuses."""


LONGEST_ID = 80
IDENTIFIER = rf"^[A-Za-z0-9][A-Za-z0-9._-]{{0,{LONGEST_ID - 1}}}$"
PRINTABLE = r"^[^\x00-\x1f\x7f-\x9f\u2028\u2029]*$"
"""One line, also to those for whom U+0085 and the separators of Unicode end a line, as for Python's mail library."""
SENSITIVE = Sensitive()

Text = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=PRINTABLE)]
Prose = Annotated[
    str, StringConstraints(min_length=1, max_length=100_000, pattern=r"^[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f]*$")
]
Identifier = Annotated[str, StringConstraints(pattern=IDENTIFIER)]
EMAIL = r"^[A-Za-z0-9._%+'-]{1,64}@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+$"
Email = Annotated[str, StringConstraints(max_length=254, pattern=EMAIL)]
SKU = r"^[A-Z0-9][A-Z0-9-]{0,31}$"
Sku = Annotated[str, StringConstraints(pattern=SKU)]
CURRENCY = r"^[A-Z]{3}$"
Currency = Annotated[str, StringConstraints(pattern=CURRENCY)]
Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9._-]{0,63}$")]
Number = Annotated[int, Field(ge=-(2**53), le=2**53)]
BlobName = Annotated[
    str, StringConstraints(min_length=1, max_length=1024, pattern=PRINTABLE), AfterValidator(_no_steps)
]
ETAG = r'^"?[A-Za-z0-9+/=x-]{1,100}"?$'
ETag = Annotated[str, StringConstraints(pattern=ETAG)]
"""A version of a blob, as storage names it."""
DAY = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$"
Day = Annotated[str, StringConstraints(pattern=DAY), AfterValidator(_real_day)]
CARD = r"^[A-Za-z0-9_-]{4,64}$"
Card = Annotated[str, StringConstraints(pattern=CARD)]
Measure = Annotated[float, Field(ge=-(2**53), le=2**53)]


IN_WORDS = {
    EMAIL: "must be a mail address, such as ada@example.com",
    SKU: "must be an article's number: capital letters, digits and '-', at most 32",
    CURRENCY: "must be a currency by its three letters, such as EUR",
    IDENTIFIER: f"must be letters, digits, '.', '_' and '-', at most {LONGEST_ID}, and begin with a letter or digit",
    PRINTABLE: "must be one line without control characters",
    DAY: "must be a day, year first, such as 2026-11-21",
    CARD: "must be the token of a card: letters, digits, '_' and '-', 4 to 64",
    ETAG: "must be the blob's ETag, as storage names it",
}
"""What a text must look like, for whoever sent another one."""
RULES = {
    "missing": "is required, and is missing",
    "extra_forbidden": "there is no such field: is its name right?",
    "string_too_short": "must not be empty",
    "too_short": "must not be empty",
    "greater_than_equal": "must be at least {ge}",
    "less_than_equal": "must be at most {le}",
    "string_too_long": "must have at most {max_length} characters",
    "too_long": "must have at most {max_length} entries",
    "string_type": "must be a text, in quotes",
    "int_type": "must be a whole number, without quotes",
    "bool_type": "must be true or false",
    "list_type": "must be a list",
    "dict_type": "must be an object",
    "model_type": "must be an object",
    "literal_error": "must be {expected}",
}
"""The other rules, by pydantic's name for what breaks them."""


class Input(BaseModel):
    """Strict: no unknown fields, no conversion between types, no values in error texts. JSON names are camelCase."""

    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        frozen=True,
        hide_input_in_errors=True,
        allow_inf_nan=False,
        alias_generator=to_camel,
        populate_by_name=True,
    )


class Customer(Input):
    """Who orders, and where the parcel goes."""

    id: Identifier
    name: Text
    email: Email
    address: Text


class OrderLine(Input):
    """So many pieces of one article. The price is the shop's, never the client's."""

    sku: Sku
    quantity: Annotated[int, Field(ge=1, le=1000)]


class OrderInput(Input):
    """An order. `card` is the token that the payment page gave the client, never a card number."""

    customer: Annotated[Customer, SENSITIVE]
    card: Annotated[Card, SENSITIVE]
    currency: Currency
    lines: Annotated[list[OrderLine], Field(min_length=1, max_length=50)]

    @model_validator(mode="after")
    def _one_line_per_article(self) -> OrderInput:
        skus = [line.sku for line in self.lines]
        if len(set(skus)) != len(skus):
            raise ValueError("lines must name each sku once; add the quantities up")
        return self


class MailInput(Input):
    """A plain-text mail to one person."""

    to: Annotated[Email, SENSITIVE]
    subject: Annotated[Text, SENSITIVE]
    text: Annotated[Prose, SENSITIVE]


class AnalyticsInput(Input):
    """One thing that happened, with what is worth counting about it. Put no personal data in the properties."""

    event: Name
    properties: Annotated[dict[Name, Text | Number | Measure | bool], Field(max_length=50)] = {}


class PhotoInput(Input):
    """One version of a photo that was put into the container `photos`."""

    name: BlobName
    etag: ETag


class OrderImportInput(Input):
    """One version of a file that was put into the container `order-imports`."""

    name: BlobName
    etag: ETag


class SalesReportInput(Input):
    """The day (YYYY-MM-DD, in the app's time zone) to report on.

    `force` makes one more report of it, with an id of its own; of today, which is not over, there are only such.
    """

    day: Day
    force: Annotated[bool, Field(validate_default=True)] = False

    @field_validator("day")
    @classmethod
    def _has_begun(cls, day: str) -> str:
        if day > clock.local_day().isoformat():
            raise ValueError("the day is still to come in the app's time zone")
        return day

    @field_validator("force")
    @classmethod
    def _is_over_or_forced(cls, force: bool, info: ValidationInfo) -> bool:
        if not force and info.data.get("day") == clock.local_day().isoformat():
            raise ValueError("the day is not over in the app's time zone: ask tomorrow, or force a report of so far")
        return force


class ShipmentInput(Input):
    """A parcel that is on its way: its number at the carrier, the order that is in it, and who gets the news."""

    parcel: Identifier
    order: Identifier
    email: Annotated[Email, SENSITIVE]


class ApprovalInput(Input):
    """A question that a person must answer with yes or no, and what happens when nobody does."""

    question: Text
    details: Annotated[dict[Name, Text | Number | Measure | bool], Field(max_length=20)] = {}
    default: Literal["approve", "reject"] = "reject"


class RefundInput(Input):
    """Money back for an order: so much of it in minor units, or all that is left of its charge."""

    order: Identifier
    amount: Annotated[int, Field(ge=1, le=1_000_000_000)] | None = None
    reason: Text


class RetentionInput(Input):
    """A cleaning up. With `dryRun` it counts what it would delete, and deletes nothing."""

    dry_run: bool = False
