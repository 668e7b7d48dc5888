"""The frames a server writes: every field of every performative, because clients index fields that may be missing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from struct import Struct
from typing import Any

from devhost.servicebus.amqp.encoder import (
    NULL,
    boolean,
    composite,
    encode,
    pack_uint,
    string,
    symbol,
    uint,
    ulong,
)
from devhost.servicebus.amqp.types import Array, Symbol

AMQP_HEADER = b"AMQP\x00\x01\x00\x00"
SASL_HEADER = b"AMQP\x03\x01\x00\x00"
AMQP_FRAME, SASL_FRAME = 0, 1

OPEN, BEGIN, ATTACH, FLOW, TRANSFER, DISPOSITION, DETACH, END, CLOSE = range(0x10, 0x19)
SASL_MECHANISMS, SASL_INIT, SASL_CHALLENGE, SASL_RESPONSE, SASL_OUTCOME = range(0x40, 0x45)
RECEIVED, ACCEPTED, REJECTED, RELEASED, MODIFIED = range(0x23, 0x28)
_ERROR = 0x1D

HEADER = Struct(">IBBH")
"""Size, data offset in words, type, channel."""
EMPTY_FRAME = HEADER.pack(8, 2, AMQP_FRAME, 0)

_TRUE, _FALSE, _ZERO = b"\x41", b"\x42", b"\x43"

# Everything of a transfer behind its "more": receiver settle mode, state, resume, aborted, batchable.
_TRANSFER_REST = NULL + NULL + _FALSE + _FALSE + _FALSE
_SHORT_LIST_LIMIT = 255


def error(condition: str, description: str) -> bytes:
    """An error of exactly three fields, none of them null (servicebus-amqp.md, "Where naive stand-ins go wrong" 3)."""
    return composite(_ERROR, (symbol(condition), string(description), b"\xc1\x01\x00"))


def frame(channel: int, body: bytes, frame_type: int = AMQP_FRAME) -> bytes:
    """A frame around an encoded performative."""
    return HEADER.pack(8 + len(body), 2, frame_type, channel) + body


def sasl_mechanisms(names: Iterable[str]) -> bytes:
    """What the server offers."""
    return frame(0, composite(SASL_MECHANISMS, (encode(Array(Symbol, names)),)), SASL_FRAME)


def sasl_outcome(code: int) -> bytes:
    """0: welcome, 1: refused."""
    return frame(0, composite(SASL_OUTCOME, (b"\x50" + bytes((code,)), NULL)), SASL_FRAME)


def open_(container_id: str, max_frame_size: int, channel_max: int, idle_timeout: int) -> bytes:
    """The server's OPEN. `idle_timeout` in ms."""
    fields = (string(container_id), NULL, uint(max_frame_size), b"\x60" + channel_max.to_bytes(2, "big"))
    return frame(0, composite(OPEN, (*fields, uint(idle_timeout), NULL, NULL, NULL, NULL, NULL)))


def begin(channel: int, remote_channel: int, next_outgoing_id: int, window: int, handle_max: int) -> bytes:
    """The answer to a BEGIN."""
    fields = (b"\x60" + remote_channel.to_bytes(2, "big"), uint(next_outgoing_id), uint(window), uint(window))
    return frame(channel, composite(BEGIN, (*fields, uint(handle_max), NULL, NULL, NULL)))


def attach(
    channel: int,
    *,
    name: str,
    handle: int,
    is_receiver: bool,
    send_settle_mode: int,
    receive_settle_mode: int,
    source: bytes,
    target: bytes,
    max_message_size: int,
    properties: Mapping[Symbol, Any],
) -> bytes:
    """The answer to an ATTACH; `source` and `target` are encoded, null in a refusal."""
    fields = (
        string(name),
        uint(handle),
        boolean(is_receiver),
        b"\x50" + bytes((send_settle_mode,)),
        b"\x50" + bytes((receive_settle_mode,)),
        source,
        target,
        NULL,
        _FALSE,
        NULL if is_receiver else _ZERO,
        ulong(max_message_size),
        NULL,
        NULL,
        encode(dict(properties)),
    )
    return frame(channel, composite(ATTACH, fields))


def flow(
    channel: int,
    next_incoming_id: int,
    incoming_window: int,
    next_outgoing_id: int,
    outgoing_window: int,
    handle: int | None = None,
    delivery_count: int = 0,
    credit: int = 0,
    is_drained: bool = False,
) -> bytes:
    """A session's FLOW, with a link's when there is a handle."""
    link = (NULL,) * 4
    if handle is not None:
        link = (uint(handle), uint(delivery_count), uint(credit), _ZERO)
    windows = (uint(next_incoming_id), uint(incoming_window), uint(next_outgoing_id), uint(outgoing_window))
    return frame(channel, composite(FLOW, (*windows, *link, boolean(is_drained), _FALSE, NULL)))


def transfers(
    channel: int, handle: int, delivery_id: int, tag: bytes, is_settled: bool, payload: bytes, max_frame_size: int
) -> list[bytes]:
    """The frames of one delivery; `tag` of at most 32 bytes. Only the first of several carries id and tag."""
    encoded_handle, settled = uint(handle), _TRUE if is_settled else _FALSE
    first = encoded_handle + uint(delivery_id) + b"\xa0" + bytes((len(tag),)) + tag + _ZERO + settled
    room = max_frame_size - len(first) - len(_TRANSFER_REST) - 15
    if len(payload) <= room:
        return [_transfer(channel, first, _FALSE, payload)]
    following = encoded_handle + NULL + NULL + NULL + settled
    parts = [_transfer(channel, first, _TRUE, payload[:room])]
    for start in range(room, len(payload), room):
        more = _TRUE if start + room < len(payload) else _FALSE
        parts.append(_transfer(channel, following, more, payload[start : start + room]))
    return parts


def _transfer(channel: int, head: bytes, more: bytes, payload: bytes) -> bytes:
    fields = head + more + _TRANSFER_REST
    size = len(fields)
    header = HEADER.pack(14 + size + len(payload), 2, AMQP_FRAME, channel)
    return b"".join((header, b"\x00\x53\x14\xc0", bytes((size + 1, 11)), fields, payload))


def disposition(channel: int, is_receiver: bool, delivery_id: int, outcome: bytes) -> bytes:
    """One delivery settled with an encoded outcome. Never a range: clients wait for a frame each (§12)."""
    number = uint(delivery_id)
    fields = b"".join((_TRUE if is_receiver else _FALSE, number, number, _TRUE, outcome, _FALSE))
    size = len(fields)
    if size < _SHORT_LIST_LIMIT:
        body = b"\x00\x53\x15\xc0" + bytes((size + 1, 6)) + fields
    else:
        body = b"\x00\x53\x15\xd0" + pack_uint(size + 4) + pack_uint(6) + fields
    return HEADER.pack(8 + len(body), 2, AMQP_FRAME, channel) + body


def detach(channel: int, handle: int, is_closed: bool, problem: bytes = NULL) -> bytes:
    """The end of a link, with an encoded error or null."""
    return frame(channel, composite(DETACH, (uint(handle), boolean(is_closed), problem)))


def end(channel: int, problem: bytes = NULL) -> bytes:
    """The end of a session."""
    return frame(channel, composite(END, (problem,)))


def close(problem: bytes = NULL) -> bytes:
    """The end of a connection."""
    return frame(0, composite(CLOSE, (problem,)))


ACCEPTED_OUTCOME = composite(ACCEPTED, ())
RELEASED_OUTCOME = composite(RELEASED, ())
REJECTED_OUTCOME = composite(REJECTED, (NULL,))
"""Rejected without an error: a message was dead-lettered, as it was asked for."""


def modified_outcome(is_failed: bool, is_undeliverable: bool) -> bytes:
    """The outcome of an abandoned or deferred message."""
    return composite(MODIFIED, (boolean(is_failed), boolean(is_undeliverable), NULL))


def rejected_outcome(condition: str, description: str) -> bytes:
    """Rejected because of an error."""
    return composite(REJECTED, (error(condition, description),))
