"""The sections that the bus puts in front of a message's own bytes when it hands the message out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from devhost.servicebus.amqp import encoder
from devhost.servicebus.sections import Section

SCHEDULED_ENQUEUE_TIME = "x-opt-scheduled-enqueue-time"
_LOCK_TOKEN = "x-opt-lock-token"
_ENCODED_LOCK_TOKEN = encoder.symbol(_LOCK_TOKEN)

_OWN = {
    "x-opt-sequence-number": encoder.long,
    "x-opt-enqueue-sequence-number": encoder.long,
    "x-opt-enqueued-time": encoder.timestamp,
    "x-opt-locked-until": encoder.timestamp,
    "x-opt-message-state": encoder.integer,
    "x-opt-deadletter-source": encoder.string,
}
_TYPED = {
    name: (encoder.symbol(name), write)
    for name, write in (_OWN | {SCHEDULED_ENQUEUE_TIME: encoder.timestamp}).items()
}

BUS_ONLY = {*_OWN, _LOCK_TOKEN}
"""What only the bus says about a message; a producer that sends a received message on must not say it again."""


def encode_header(durable: bool, priority: int, ttl: int | None, delivery_count: int) -> bytes:
    """The header; `ttl` in ms, `delivery_count`: failed deliveries so far."""
    fields = (
        encoder.boolean(durable),
        b"\x50" + bytes((priority,)),
        encoder.NULL if ttl is None else encoder.uint(ttl),
        encoder.boolean(delivery_count == 0),
        encoder.uint(delivery_count),
    )
    return encoder.composite(Section.HEADER, fields)


def encode_delivery_annotations(producers: list[bytes], lock_token: UUID | None) -> bytes:
    """The lock token behind the producer's encoded keys and values; nothing if there is neither."""
    if lock_token is not None:
        producers = [*producers, _ENCODED_LOCK_TOKEN, encoder.uuid(lock_token)]
    if not producers:
        return b""
    return encoder.described(Section.DELIVERY_ANNOTATIONS, encoder.map_of_encoded(producers))


def encode_annotations(annotations: Mapping[str, Any], producers: list[bytes]) -> bytes:
    """The bus's annotations, None values left out, in front of the producer's encoded keys and values."""
    entries: list[bytes] = []
    for name, value in annotations.items():
        if value is not None:
            typed = _TYPED.get(name)
            entries += (typed[0], typed[1](value)) if typed else (encoder.symbol(name), encoder.encode(value))
    return encoder.described(Section.ANNOTATIONS, encoder.map_of_encoded(entries + producers))
