"""A job as it is submitted: what arrived, checked against its kind's input model."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from hashlib import sha256
from typing import Annotated, Any, Literal
from uuid import uuid4

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
)
from pydantic.alias_generators import to_camel
from pydantic_core import ErrorDetails

from jobs import claim_check, clock, delay, ids, replies, strict_json
from jobs.catalog import KINDS, Kind, kind_named
from jobs.errors import InvalidInputError, NotAJobError
from jobs.inputs import IN_WORDS, RULES, Identifier, Input
from jobs.ledger import JobRef, now, written

CORRELATION_ID = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$"
CorrelationId = Annotated[str, StringConstraints(pattern=CORRELATION_ID)]
Priority = Literal["normal", "urgent"]

MOST_FIELDS_NAMED = 20
"""An answer names at most so many wrong fields: enough to repair a job, too few to make the answer a burden."""

NAME = re.compile(r"[A-Za-z\[][A-Za-z0-9_\[\]-]{0,63}|[0-9]{1,4}")
"""What a field, an index or pydantic's own marks look like, unlike mail addresses, card numbers and sentences."""


def _in_utc(moment: datetime) -> datetime:
    """Raises ValueError for the few moments whose offset leads out of the years 1 to 9999."""
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise ValueError("must be within the years 1 to 9999 in UTC") from None


def _moment_to_come(given: object) -> datetime:
    """A time that may be years ago, but not years ahead. A number is none: nobody could tell what it counts."""
    try:
        moment = datetime.fromisoformat(given if isinstance(given, str) else "")
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise ValueError("must be a time with its offset, as 2026-12-01T08:00:00Z or 2026-12-01T09:00:00+01:00")
    moment = _in_utc(moment)
    if moment > clock.now() + delay.LONGEST:
        raise ValueError("must be at most a year ahead")
    return moment


class Envelope(BaseModel):
    """All about a job but its input: what a queue message says, and what the HTTP door reads from URL and headers."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, hide_input_in_errors=True, alias_generator=to_camel, populate_by_name=True
    )

    kind: Annotated[str, Field(max_length=80)]
    id: Identifier
    input: dict[str, Any] = Field(default_factory=dict)
    correlation_id: Annotated[str, StringConstraints(pattern=CORRELATION_ID)] = Field(
        default_factory=lambda: uuid4().hex
    )
    enqueued_at: Annotated[AwareDatetime, AfterValidator(_in_utc)] | None = None
    priority: Priority = "normal"
    not_before: Annotated[datetime, BeforeValidator(_moment_to_come)] | None = None
    """The job starts no earlier. What is past is no delay."""
    callback_url: str | None = None
    """Where its outcome is sent by HTTP (see `jobs.callbacks`). Whether it may be, the app's settings decide."""
    reply_to: Annotated[str, AfterValidator(replies.check)] | None = None
    """The Service Bus queue in which the sender waits for a reply (see `jobs.replies`)."""
    reply_correlation_id: Annotated[str, StringConstraints(min_length=1, max_length=128)] | None = None
    """By which the sender knows the reply: the job's correlation id, unless it says so."""
    reply_session: Annotated[str, StringConstraints(min_length=1, max_length=128)] | None = None
    """The session in which the sender waits."""
    hand_over: Annotated[str, Field(max_length=80)] | None = None
    """Set by the app itself on a job that is already in the ledger: the id of this hand-over."""


@dataclass(frozen=True)
class Job:
    """A job whose input is good."""

    kind: Kind
    id: str
    input: Input
    correlation_id: str
    submitted_at: str = field(default_factory=now)
    priority: Priority = "normal"
    not_before: str | None = None
    """The moment before which it must not start, as the ledger writes it."""
    source: str = "http"
    """The door by which it came (see `JobRef.source`)."""
    callback_url: str | None = None
    reply_to: str | None = None
    reply_correlation_id: str | None = None
    reply_session: str | None = None
    """Where its outcome is told, as of the envelope."""

    @cached_property
    def content(self) -> bytes:
        """The input in its one spelling."""
        return strict_json.canonical(self.input.model_dump(mode="json", by_alias=True))

    @cached_property
    def digest(self) -> str:
        """Tells two inputs apart without keeping either."""
        return sha256(self.content).hexdigest()

    @property
    def claim(self) -> str | None:
        """The blob in which the input must wait, if it must: see `jobs.claim_check`."""
        if self.kind.sensitive_fields or len(self.content) > claim_check.LARGEST_INLINE_INPUT:
            return claim_check.name(self.kind.name, self.id)
        return None

    @property
    def travelling_input(self) -> dict[str, Any]:
        """What of the input may be seen in messages and history: nothing sensitive, nothing large."""
        if len(self.content) > claim_check.LARGEST_INLINE_INPUT:
            return {}
        return self.input.model_dump(mode="json", by_alias=True, exclude=set(self.kind.sensitive_fields))

    @property
    def ref(self) -> JobRef:
        return JobRef(
            self.kind.name,
            self.id,
            self.correlation_id,
            self.submitted_at,
            self.claim,
            source=self.source,
            reply_to=self.reply_to,
            not_before=self.not_before,
            calls_back=self.callback_url is not None,
        )

    @property
    def asked(self) -> dict[str, str]:
        """Columns of the ledger that say where its outcome is told, and that do not travel."""
        said = {
            "callbackUrl": self.callback_url,
            "replyCorrelationId": self.reply_correlation_id,
            "replySession": self.reply_session,
        }
        return {name: value for name, value in said.items() if value is not None}


def parse(envelope: Envelope, *, source: str = "http") -> Job:
    """Check the input that came in the envelope, by the door `source`. Raises UnknownKindError, InvalidInputError."""
    kind = kind_named(envelope.kind)
    _check_instance(kind, envelope.id)
    try:
        checked = kind.input_model.model_validate(envelope.input)
    except ValidationError as error:
        raise invalid(error, f"the input is not right for a job of kind {kind.name}") from None
    return Job(
        kind=kind,
        id=ids.settled(kind, checked, envelope.id),
        input=checked,
        correlation_id=envelope.correlation_id,
        submitted_at=written(envelope.enqueued_at) if envelope.enqueued_at else now(),
        priority=envelope.priority,
        not_before=written(envelope.not_before) if envelope.not_before else None,
        source=source,
        callback_url=envelope.callback_url,
        reply_to=envelope.reply_to,
        reply_correlation_id=envelope.reply_to and envelope.reply_correlation_id,
        reply_session=envelope.reply_to and envelope.reply_session,
    )


def _check_instance(kind: Kind, id: str) -> None:
    """Refuse the id with which a job would have the instance of a job of another kind, and its idempotency keys.

    `order` + `import-1` and `order-import` + `1` are both `order-import-1`: it belongs to the longer kind.
    """
    for other in KINDS:
        rest = other.removeprefix(f"{kind.name}-")
        if rest != other and id.startswith(f"{rest}-"):
            message = f"must not begin with '{rest}-': such names belong to {other} jobs"
            raise InvalidInputError(f"the id is not right: id: {message}", [{"field": "id", "message": message}])


def open_envelope(fields: Any) -> Envelope:
    """The envelope in what was parsed from JSON. Raises NotAJobError, InvalidInputError."""
    if not isinstance(fields, dict) or "kind" not in fields:
        raise NotAJobError('a job is a JSON object with at least "kind" and "input"')
    try:
        return Envelope.model_validate(fields)
    except ValidationError as error:
        raise invalid(error, "the fields of the job are not right") from None


def invalid(error: ValidationError, message: str) -> InvalidInputError:
    """What pydantic found, by field, without any of the values."""
    found = error.errors(include_url=False, include_input=False)
    fields = [
        {"field": ".".join(map(_named, each["loc"])), "message": _message(each)} for each in found[:MOST_FIELDS_NAMED]
    ]
    named = "; ".join(f"{each['field']}: {each['message']}" if each["field"] else each["message"] for each in fields)
    return InvalidInputError(f"{message}: {named}", fields)


def _message(found: ErrorDetails) -> str:
    context = found.get("ctx", {})
    if said := IN_WORDS.get(context.get("pattern")):
        return said
    if rule := RULES.get(found["type"]):
        return rule.format(**context)
    # What our own validators say, pydantic begins with the name of the exception.
    return found["msg"].removeprefix("Value error, ")


def _named(part: str | int) -> str:
    """A key that the client chose goes into answers and logs only if it can be a name and not a value."""
    return str(part) if NAME.fullmatch(str(part)) else "(no name)"
