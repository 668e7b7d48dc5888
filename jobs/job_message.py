"""A job message: JSON in a queue; what it does not say itself, its queue says of it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from hashlib import sha256

from jobs import ids, strict_json
from jobs.errors import NotAJobError
from jobs.inputs import IDENTIFIER
from jobs.job import CORRELATION_ID, Envelope, open_envelope

BASE64_OF_AN_OBJECT = re.compile(rb"e[wy][A-Za-z0-9+/\r\n]*={0,2}\s*")
"""What many queue clients send unless told otherwise: the encoded beginning of a JSON object."""


def read(
    body: bytes,
    message_id: str,
    sent_at: str | None,
    correlation_id: str | None = None,
    reply: Mapping[str, str | None] | None = None,
) -> Envelope:
    """The envelope in a message's body. Raises NotAJobError, InvalidInputError.

    `message_id`: the message's, which is stable across redelivery. `sent_at`: ISO 8601. `correlation_id`: the
    message's, which is not taken if it is none of ours (see `jobs.job`). `reply`: what the message says of the reply
    that its sender waits for, by the names of the envelope.
    """
    if BASE64_OF_AN_OBJECT.fullmatch(body):
        raise NotAJobError("the message looks like base64: this app's queues take plain JSON, so send it unencoded")
    fields = strict_json.loads(body)
    if isinstance(fields, dict):
        if "id" not in fields:
            fields["id"] = ids.missing(fields, default_id(message_id))
        fields.setdefault("enqueuedAt", sent_at)
        if correlation_id and re.fullmatch(CORRELATION_ID, correlation_id):
            fields.setdefault("correlationId", correlation_id)
        for name, value in (reply or {}).items():
            if value:
                fields.setdefault(name, value)
    return open_envelope(fields)


def with_id(body: bytes, message_id: str, *, awaits_reply: bool = False) -> bytes:
    """The body, naming the job that it is if it names none: a copy of the message will have another message id.

    `awaits_reply`: it also names the message, by whose id the sender will know the reply.
    """
    try:
        fields = strict_json.loads(body)
    except NotAJobError:
        return body
    if not isinstance(fields, dict):
        return body
    named = {"id": ids.missing(fields, default_id(message_id))}
    if awaits_reply:
        named["replyCorrelationId"] = message_id[:128]
    return body if fields.keys() >= named.keys() else strict_json.canonical(named | fields)


def default_id(message_id: str) -> str:
    """The id of a job whose message names none: the message's, or its digest if no job can have that id."""
    return message_id if re.fullmatch(IDENTIFIER, message_id) else sha256(message_id.encode()).hexdigest()[:32]
