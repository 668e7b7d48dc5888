"""One client's connection: protocol headers, SASL, OPEN and CLOSE, frames to sessions, bytes out once per loop turn."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from devhost.servicebus.amqp import frames, sasl
from devhost.servicebus.amqp.container import Container
from devhost.servicebus.amqp.decoder import decode_composite
from devhost.servicebus.amqp.errors import AmqpError, DecodeError, FramingError
from devhost.servicebus.amqp.session import Session, SessionError

MAX_FRAME_SIZE = 1024 * 1024
CHANNEL_MAX = 255
IDLE_TIMEOUT = 240_000
"""ms. Advertised so that clients send signs of life; not enforced, since some are late by design (§2)."""
HANDSHAKE_TIMEOUT = 20.0
"""Seconds from the socket to OPEN."""
LINGER = 2.0
"""Seconds in which a client may read why its connection ends before the socket is closed."""

_SMALLEST_MAX_FRAME_SIZE = 512
_READ_SIZE = 64 * 1024
_FLUSH_AT = 1024 * 1024
_WRITE_BUFFER = 4 * 1024 * 1024
_log = logging.getLogger("devhost.servicebus")


class Connection(asyncio.BufferedProtocol):
    """The server's end of one connection. Faults of the client end it with the AMQP error, and are logged in a line."""

    def __init__(self, container: Container) -> None:
        self.container = container
        self.is_paused = False
        """The client does not read: nothing more is handed out to it until it does."""
        self.max_frame_size = _SMALLEST_MAX_FRAME_SIZE
        """What the client takes."""
        self.peer = "?"
        self._read = self._read_header
        self._is_open = self._is_ended = self._has_logged_in = False
        self._buffer = memoryview(bytearray(_READ_SIZE))
        self._unread = b""
        self._position = 0
        self._output: list[bytes] = []
        self._output_size = 0
        self._flush_is_due = False
        self._sessions: dict[int, Session] = {}
        self._ended_channels: set[int] = set()
        self._timer: asyncio.TimerHandle | None = None

    # asyncio.BufferedProtocol

    def connection_made(self, transport: Any) -> None:
        """A socket was accepted; it has HANDSHAKE_TIMEOUT to become an open connection."""
        self._transport: asyncio.Transport = transport
        self._loop = asyncio.get_running_loop()
        transport.set_write_buffer_limits(_WRITE_BUFFER)
        self.peer = "{}:{}".format(*transport.get_extra_info("peername")[:2])
        self._timer = self._loop.call_later(HANDSHAKE_TIMEOUT, self._give_up_handshake)
        self.container.connected(self)

    def get_buffer(self, size_hint: int) -> memoryview:
        """Where to read to. A new buffer for each read, as without this, costs more than reading."""
        return self._buffer

    def buffer_updated(self, size: int) -> None:
        """Take in what has come and send what it leads to at once."""
        if self._is_ended:
            return
        data = bytes(self._buffer[:size])
        self._flush_is_due = True
        self._unread = self._unread + data if self._unread else data
        try:
            while not self._is_ended and self._read():
                pass
            self._unread, self._position = self._unread[self._position :], 0
        except AmqpError as error:
            self.close(error)
        except Exception:
            _log.exception("A connection of %s ends by a fault of the bus itself. Please report it.", self.peer)
            self.close(AmqpError("amqp:internal-error", "The local Service Bus failed; its log says how."))
        self._flush()
        if self.container.has_more_to_say:  # send that in the loop turn in which it is said, not in the one behind it
            self._flush_is_due = True
            self._loop.call_soon(self._flush)

    def pause_writing(self) -> None:
        """The socket is full."""
        self.is_paused = True

    def resume_writing(self) -> None:
        """The socket has room again."""
        self.is_paused = False
        for session in list(self._sessions.values()):
            session.resume()

    def connection_lost(self, error: Exception | None) -> None:
        """The socket is closed, by whom ever."""
        self._is_ended = True
        self._stop_timer()
        self._end_sessions()
        self.container.disconnected(self)

    # for sessions and the container

    def write(self, data: bytes) -> None:
        """Send bytes with everything else of this loop turn."""
        if self._is_ended:
            return
        self._output.append(data)
        self._output_size += len(data)
        if self._output_size > _FLUSH_AT:
            self._flush()
        elif not self._flush_is_due:
            self._flush_is_due = True
            self._loop.call_soon(self._flush)

    def close(self, error: AmqpError | None = None) -> None:
        """Say why and end the connection: sessions and links are gone at once, the socket when the client has read it.

        Harmless when it is ended already.
        """
        if self._is_ended:
            return
        self._end_sessions()
        if error:
            _log.info("Connection of %s closed: %s", self.peer, error)
        if self._read == self._read_frame:
            if not self._is_open:  # nothing may come before it, not even the end
                self._write_open()
            self.write(frames.close(frames.error(error.condition, error.description) if error else frames.NULL))
        self._is_ended = True
        self._flush()
        self._stop_timer()
        self._timer = self._loop.call_later(LINGER, self._transport.abort)
        try:
            self._transport.write_eof()
        except OSError:  # the client was faster
            self._transport.abort()

    def abort(self) -> None:
        """Drop the socket."""
        self._transport.abort()

    def _flush(self) -> None:
        self._flush_is_due = False
        if self._output:
            output, self._output, self._output_size = self._output, [], 0
            if not self._transport.is_closing():  # a client that is gone needs no more, nor warnings about it
                self._transport.writelines(output)

    # from protocol header to OPEN

    def _read_header(self) -> bool:
        header = self._unread[self._position : self._position + 8]
        if len(header) < 8:
            if not frames.AMQP_HEADER.startswith(header[:4]):
                self._refuse_protocol()
            return False
        self._position += 8
        if header == frames.SASL_HEADER and not self._has_logged_in:
            self.write(frames.SASL_HEADER + sasl.OFFER)
            self._read = self._read_sasl
        elif header == frames.AMQP_HEADER and self._has_logged_in:
            self.write(frames.AMQP_HEADER)
            self._read = self._read_frame
        else:
            self._refuse_protocol()
        return True

    def _refuse_protocol(self) -> None:
        """As the standard says: answer with the header that would be right, and close."""
        _log.info("Connection of %s closed: it does not begin with the AMQP 1.0 SASL header.", self.peer)
        self.write(frames.AMQP_HEADER if self._has_logged_in else frames.SASL_HEADER)
        self.close()

    def _read_sasl(self) -> bool:
        frame = self._next_frame(frames.SASL_FRAME)
        if frame is None:
            return False
        init = sasl.read_init(frame[1])
        is_known = init.mechanism in sasl.MECHANISMS
        self._has_logged_in = is_known and self.container.log_in(self, init)
        self.write(frames.sasl_outcome(0 if self._has_logged_in else 1))
        if not self._has_logged_in:
            _log.info("Connection of %s closed: SASL %s with wrong credentials.", self.peer, init.mechanism)
            self.close()
        self._read = self._read_header
        return True

    def _give_up_handshake(self) -> None:
        self.close(AmqpError("amqp:connection:forced", f"No OPEN in {HANDSHAKE_TIMEOUT:g} seconds."))

    # frames

    def _next_frame(self, frame_type: int) -> tuple[int, bytes] | None:
        """Channel and body of the next frame, None when it is not complete. Raises FramingError."""
        start = self._position
        available = len(self._unread) - start
        if available < 8:
            return None
        size, offset, kind, channel = frames.HEADER.unpack_from(self._unread, start)
        if size > MAX_FRAME_SIZE:
            raise FramingError(f"A frame of {size} bytes; the largest that is taken has {MAX_FRAME_SIZE}.")
        if offset < 2 or offset * 4 > size or kind != frame_type:
            raise FramingError(f"A frame header that cannot be: size {size}, offset {offset}, type {kind}.")
        if available < size:
            return None
        self._position = start + size
        return channel, self._unread[start + offset * 4 : start + size]

    def _read_frame(self) -> bool:
        frame = self._next_frame(frames.AMQP_FRAME)
        if frame is None:
            return False
        channel, body = frame
        if not body:
            return True
        code, fields, end = decode_composite(body)
        session = self._sessions.get(channel)
        if session is not None and frames.ATTACH <= code <= frames.DETACH:
            try:
                session.receive(code, fields, body, end)
            except SessionError as error:
                _log.info("Session of %s ended: %s", self.peer, error)
                self._ended_channels.add(channel)
                del self._sessions[channel]
                session.end(error)
        elif code == frames.OPEN:
            self._receive_open(fields)
        elif not self._is_open:
            raise AmqpError("amqp:illegal-state", "The first frame of a connection is OPEN.")
        elif code == frames.BEGIN:
            self._receive_begin(channel, fields)
        elif code == frames.END:
            self._receive_end(channel)
        elif code == frames.CLOSE:
            self.close()
        elif not frames.ATTACH <= code <= frames.DETACH:
            raise DecodeError(f"No performative has the code 0x{code:x}.")
        elif channel not in self._ended_channels:
            raise AmqpError("amqp:illegal-state", f"There is no session on channel {channel}.")
        return True

    def _receive_open(self, fields: list[Any]) -> None:
        if self._is_open:
            raise AmqpError("amqp:illegal-state", "The connection is open already.")
        container_id, _, max_frame_size, _, idle_timeout = (fields + [None] * 5)[:5]
        self._is_open = True
        self._stop_timer()
        self._write_open()
        if not isinstance(container_id, str) or not isinstance(max_frame_size, int | None):
            raise AmqpError("amqp:invalid-field", "OPEN needs a container-id, and its max-frame-size is a number.")
        self.max_frame_size = MAX_FRAME_SIZE if max_frame_size is None else min(max_frame_size, MAX_FRAME_SIZE)
        if self.max_frame_size < _SMALLEST_MAX_FRAME_SIZE:
            raise AmqpError("amqp:invalid-field", f"max-frame-size is at least {_SMALLEST_MAX_FRAME_SIZE}.")
        if isinstance(idle_timeout, int) and idle_timeout > 0:
            self._send_sign_of_life(max(idle_timeout, 100) / 2000)
        self.container.opened(self)

    def _write_open(self) -> None:
        self.write(frames.open_(self.container.container_id, MAX_FRAME_SIZE, CHANNEL_MAX, IDLE_TIMEOUT))

    def _send_sign_of_life(self, interval: float) -> None:
        self.write(frames.EMPTY_FRAME)
        self._timer = self._loop.call_later(interval, self._send_sign_of_life, interval)

    def _receive_begin(self, channel: int, fields: list[Any]) -> None:
        if channel in self._sessions:
            raise AmqpError("amqp:illegal-state", f"The session on channel {channel} has begun already.")
        if channel > CHANNEL_MAX:
            raise FramingError(f"Channel {channel}; the highest is {CHANNEL_MAX}.")
        self._ended_channels.discard(channel)
        self._sessions[channel] = Session(self, channel, fields)

    def _receive_end(self, channel: int) -> None:
        session = self._sessions.pop(channel, None)
        if session is not None:
            self._ended_channels.add(channel)
            session.end()
        elif channel not in self._ended_channels:
            raise AmqpError("amqp:illegal-state", f"There is no session on channel {channel}.")

    def _end_sessions(self) -> None:
        sessions, self._sessions = self._sessions, {}
        for session in sessions.values():
            session.lose()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
