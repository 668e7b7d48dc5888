"""The server's half of SASL: offer, look at the answer, say whether it is good enough to go on."""

from __future__ import annotations

from typing import NamedTuple

from devhost.servicebus.amqp.decoder import decode_composite
from devhost.servicebus.amqp.errors import DecodeError
from devhost.servicebus.amqp.frames import SASL_INIT, sasl_mechanisms

MECHANISMS = ("ANONYMOUS", "MSSBCBS", "PLAIN", "EXTERNAL")
"""All but PLAIN mean: nothing yet, a token follows over `$cbs` (servicebus-amqp.md §2)."""

OFFER = sasl_mechanisms(MECHANISMS)


class SaslInit(NamedTuple):
    """What a client answers the offer with."""

    mechanism: str
    response: bytes

    def credentials(self) -> tuple[str, str] | None:
        """Name and password of PLAIN; None when the response is not made as RFC 4616 says."""
        parts = self.response.split(b"\0")
        return (parts[1].decode("utf-8", "replace"), parts[2].decode("utf-8", "replace")) if len(parts) == 3 else None


def read_init(frame_body: bytes) -> SaslInit:
    """The sasl-init in a SASL frame's body. Raises DecodeError for any other frame."""
    code, fields, _ = decode_composite(frame_body)
    if code != SASL_INIT or not fields or not isinstance(fields[0], str):
        raise DecodeError("The SASL layer takes one sasl-init and nothing else.")
    response = fields[1] if len(fields) > 1 else None
    return SaslInit(str(fields[0]), response if isinstance(response, bytes) else b"")
