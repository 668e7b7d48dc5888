"""The other end of an AMQP connection, written frame by frame: for tests of what no real client does."""

from __future__ import annotations

import socket
from typing import Any, NamedTuple

from devhost.servicebus.amqp import frames
from devhost.servicebus.amqp.decoder import decode, decode_composite
from devhost.servicebus.amqp.encoder import composite, encode
from devhost.servicebus.amqp.types import Described, Symbol, UByte, UInt, ULong

SOURCE, TARGET = 0x28, 0x29
SENDER, RECEIVER = False, True


class Frame(NamedTuple):
    """A frame that came."""

    channel: int
    code: int
    fields: list[Any]
    payload: bytes = b""

    @property
    def condition(self) -> str | None:
        """Of the error in a DETACH, END or CLOSE, or in a rejected outcome."""
        error = self.fields[{frames.DETACH: 2, frames.DISPOSITION: 4}.get(self.code, 0)]
        if error is not None and self.code == frames.DISPOSITION:
            error = error.value[0] if error.value else None
        return None if error is None else error.value[0]


def frame(code: int, *fields: Any, channel: int = 0, payload: bytes = b"", kind: int = frames.AMQP_FRAME) -> bytes:
    """A frame with a performative; fields by their Python types."""
    return frames.frame(channel, composite(code, map(encode, fields)) + payload, kind)


def open_(**options: Any) -> bytes:
    """OPEN; `idle_timeout` in ms, `max_frame_size` in bytes."""
    idle_timeout, size = options.get("idle_timeout"), options.get("max_frame_size", 65_536)
    limits = (UInt(size), None, None if idle_timeout is None else UInt(idle_timeout))
    return frame(frames.OPEN, options.get("container_id", "peer"), "localhost", *limits)


def begin(window: int = 1000, channel: int = 0) -> bytes:
    """BEGIN."""
    return frame(frames.BEGIN, None, UInt(0), UInt(window), UInt(1000), channel=channel)


def sasl(mechanism: str = "ANONYMOUS", response: bytes = b"") -> bytes:
    """The SASL header and a sasl-init."""
    init = frame(frames.SASL_INIT, Symbol(mechanism), response, kind=frames.SASL_FRAME)
    return frames.SASL_HEADER + init


HELLO = sasl() + frames.AMQP_HEADER + open_() + begin()
"""Everything up to a session on channel 0."""


def attach(name: str, handle: int, role: bool, address: Any, **options: Any) -> bytes:
    """ATTACH to an entity: as its `role` the target or the source is the address."""
    other = f"{name}-here"
    filters = options.get("filters")
    source = Described(ULong(SOURCE), [address if role == RECEIVER else other, *[None] * 6, filters])
    target = Described(ULong(TARGET), [other if role == RECEIVER else address])
    modes = (UByte(options.get("snd", 0)), UByte(options.get("rcv", 0)))
    return frame(
        frames.ATTACH, name, UInt(handle), role, *modes, options.get("source", source), options.get("target", target),
        None, None, None if role == RECEIVER else UInt(0), None, None, None, options.get("properties"),
    )  # fmt: skip


def flow(handle: int | None, credit: int, *, count: int = 0, drain: bool = False, echo: bool = False, **session: int):
    """FLOW, with a link's credit unless `handle` is None."""
    link = (None,) * 3 if handle is None else (UInt(handle), UInt(count), UInt(credit))
    windows = (UInt(session.get("next_incoming_id", 0)), UInt(session.get("window", 1000)), UInt(0), UInt(1000))
    return frame(frames.FLOW, *windows, *link, None, drain, echo)


def transfer(handle: int, delivery_id: int, payload: bytes, **options: Any) -> bytes:
    """TRANSFER; options: message_format, settled, more, aborted."""
    number = None if delivery_id is None else UInt(delivery_id)
    head = (UInt(handle), number, b"\0\0\0\1", UInt(options.get("message_format", 0)))
    is_aborted = options.get("aborted", False)
    flags = (options.get("settled", False), options.get("more", False), None, None, False, is_aborted)
    return frame(frames.TRANSFER, *head, *flags, payload=payload)


def disposition(first: int, outcome: int | None, *fields: Any, last: int | None = None, settled: bool = False) -> bytes:
    """DISPOSITION of a receiver."""
    state = None if outcome is None else Described(ULong(outcome), list(fields))
    return frame(frames.DISPOSITION, True, UInt(first), None if last is None else UInt(last), settled, state)


def detach(handle: int, closed: bool = True) -> bytes:
    """DETACH."""
    return frame(frames.DETACH, UInt(handle), closed)


def split(data: bytes) -> tuple[list[Frame], bytes]:
    """The whole frames in these bytes (protocol headers are left out, SASL counts as any), and the rest."""
    found, position = [], 0
    while len(data) - position >= 8:
        if data[position : position + 4] == b"AMQP":
            position += 8
            continue
        size, _, _, channel = frames.HEADER.unpack_from(data, position)
        if len(data) - position < size:
            break
        body = data[position + 8 : position + size]
        if body:
            code, fields, end = decode_composite(body)
            found.append(Frame(channel, code, fields, body[end:]))
        position += size
    return found, data[position:]


def sections(payload: bytes) -> dict[int, Any]:
    """A message's sections by their codes."""
    found, position = {}, 0
    while position < len(payload):
        section, position = decode(payload, position)
        found[section.descriptor] = section.value
    return found


class RawClient:
    """A socket to the bus. `receive` gives frame after frame; None when the bus has closed the connection."""

    def __init__(self, port: int, hello: bytes = HELLO, timeout: float = 5.0) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout)
        self._frames: list[Frame] = []
        self._unread = b""
        self.send(hello)

    def __enter__(self) -> RawClient:
        return self

    def __exit__(self, *error: object) -> None:
        self.socket.close()

    def send(self, *data: bytes) -> None:
        """Write bytes."""
        self.socket.sendall(b"".join(data))

    def receive(self) -> Frame | None:
        """The next frame. Raises TimeoutError."""
        while not self._frames:
            data = self.socket.recv(65_536)
            if not data:
                return None
            self._frames, self._unread = split(self._unread + data)
        return self._frames.pop(0)

    def receive_until(self, code: int) -> Frame:
        """The next frame of that performative; others are passed over."""
        while (found := self.receive()) is not None:
            if found.code == code:
                return found
        raise AssertionError(f"The bus closed the connection before a frame 0x{code:x} came.")

    def receive_all(self) -> list[Frame]:
        """All frames until the bus closes the connection."""
        return list(iter(self.receive, None))
