"""One session of a connection: windows, handles, and dispositions to the deliveries they are about."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

from devhost.servicebus.amqp import frames
from devhost.servicebus.amqp.errors import AmqpError, DecodeError
from devhost.servicebus.amqp.incoming import IncomingLink
from devhost.servicebus.amqp.outgoing import OutgoingDelivery, OutgoingLink
from devhost.servicebus.amqp.types import Described, is_uint

if TYPE_CHECKING:
    from devhost.servicebus.amqp.connection import Connection
    from devhost.servicebus.amqp.link import Link

HANDLE_MAX = 4_294_967_295
WINDOW = 2_147_483_647
"""Never exhausted: credit is what limits a client (servicebus-amqp.md §2)."""
_WRAP = 0x1_0000_0000
_LARGEST_RANGE = 10_000


class SessionError(AmqpError):
    """A fault that ends a session and leaves the connection alone."""


class Session:
    """The server's end of a session. Its outgoing handles are the numbers that the client gave its links."""

    def __init__(self, connection: Connection, channel: int, fields: list[Any]) -> None:
        """Answers the BEGIN with these `fields`. Raises DecodeError if they cannot be used."""
        self.connection = connection
        self.channel = channel
        _, next_outgoing_id, incoming_window = (fields + [None] * 3)[:3]
        if not is_uint(next_outgoing_id) or not is_uint(incoming_window):
            raise DecodeError("BEGIN needs next-outgoing-id and incoming-window.")
        self._next_incoming_id = next_outgoing_id
        self._next_outgoing_id = 0
        self._remote_window = incoming_window
        self._waiting: deque[bytes] = deque()
        self._next_delivery_id = 0
        self._links: dict[int, Link] = {}
        self._unsettled: dict[int, OutgoingDelivery] = {}
        self._is_ended = False
        connection.write(frames.begin(channel, channel, 0, WINDOW, HANDLE_MAX))

    @property
    def has_room(self) -> bool:
        """Whether the client takes more transfers now."""
        return self._remote_window > 0 and not self.connection.is_paused and not self._waiting

    def links(self) -> list[Link]:
        """All links, also those that are still to be accepted."""
        return list(self._links.values())

    def receive(self, code: int, fields: list[Any], body: bytes, end: int) -> None:
        """Take a frame between ATTACH and DETACH; a transfer's payload begins at `end` of `body`.

        Raises SessionError and DecodeError.
        """
        if code == frames.TRANSFER:
            self._next_incoming_id = (self._next_incoming_id + 1) % _WRAP
            link = self._link(fields, 0)
            if not isinstance(link, IncomingLink):
                raise SessionError("amqp:not-allowed", "A transfer on a link whose sender is the bus.")
            link.receive_transfer(fields + [None] * (11 - len(fields)), body[end:])
        elif code == frames.DISPOSITION:
            self._receive_disposition(fields + [None] * (6 - len(fields)))
        elif code == frames.FLOW:
            self._receive_flow(fields + [None] * (11 - len(fields)))
        elif code == frames.ATTACH:
            self._receive_attach(fields + [None] * (14 - len(fields)), body)
        else:
            link = self._link(fields, 0)
            del self._links[link.handle]
            link.receive_detach(len(fields) > 1 and fields[1] is True)

    def end(self, error: AmqpError | None = None) -> None:
        """Send END, as an answer or because of a fault of the client; all links are gone."""
        problem = frames.error(error.condition, error.description) if error else frames.NULL
        self.write(frames.end(self.channel, problem))
        self.lose()

    def lose(self) -> None:
        """All links are gone; nothing is sent any more."""
        self._is_ended = True
        links, self._links = self._links, {}
        for link in links.values():
            link.lose()
        self._unsettled.clear()
        self._waiting.clear()

    def resume(self) -> None:
        """Deliveries may go on: the socket, or the client's window, has room again."""
        while self._waiting and self._remote_window > 0:
            self._write_transfer(self._waiting.popleft())
        if self.has_room:
            for link in self.links():
                if isinstance(link, OutgoingLink):
                    link.resume()

    # for links

    def write(self, frame: bytes) -> None:
        """Send a frame, unless the session has ended."""
        if not self._is_ended:
            self.connection.write(frame)

    def write_flow(self, link: Link | None = None, is_drained: bool = False) -> None:
        """Send the session's windows, with a link's credit."""
        windows = (self._next_incoming_id, WINDOW, self._next_outgoing_id, WINDOW)
        if link is None:
            self.write(frames.flow(self.channel, *windows))
        else:
            state = (link.handle, link.delivery_count, link.credit)
            self.write(frames.flow(self.channel, *windows, *state, is_drained))

    def transfer(self, link: OutgoingLink, payload: bytes, tag: bytes, is_settled: bool, context: Any) -> None:
        """Send a delivery; an unsettled one is remembered until client or link has done with it."""
        delivery_id = self._next_delivery_id
        self._next_delivery_id = (delivery_id + 1) % _WRAP
        if not is_settled:
            self._unsettled[delivery_id] = OutgoingDelivery(link, delivery_id, context)
        limit = self.connection.max_frame_size
        for frame in frames.transfers(self.channel, link.handle, delivery_id, tag, is_settled, payload, limit):
            if self._remote_window > 0 and not self._waiting:
                self._write_transfer(frame)
            else:
                self._waiting.append(frame)

    def forget(self, link: OutgoingLink) -> None:
        """Dispositions of this link's deliveries come too late from now on."""
        for delivery_id in [number for number, delivery in self._unsettled.items() if delivery.link is link]:
            del self._unsettled[delivery_id]

    def _write_transfer(self, frame: bytes) -> None:
        self._next_outgoing_id = (self._next_outgoing_id + 1) % _WRAP
        self._remote_window -= 1
        self.write(frame)

    def _link(self, fields: list[Any], index: int) -> Link:
        handle = fields[index] if len(fields) > index else None
        link = self._links.get(handle) if isinstance(handle, int) else None
        if link is None:
            raise SessionError("amqp:session:unattached-handle", f"No link is attached with handle {handle}.")
        return link

    def _receive_attach(self, fields: list[Any], body: bytes) -> None:
        name, handle, is_receiver = fields[:3]
        if not isinstance(name, str) or not is_uint(handle) or not isinstance(is_receiver, bool):
            raise DecodeError("ATTACH needs a name, a handle and a role.")
        if handle in self._links:
            raise SessionError("amqp:session:handle-in-use", f"Handle {handle} is another link's.")
        link = (OutgoingLink if is_receiver else IncomingLink)(self, handle, name, fields, body)
        self._links[handle] = link
        self.connection.container.attach(link)

    def _receive_flow(self, fields: list[Any]) -> None:
        next_incoming_id, window = fields[0] or 0, fields[1]
        if not is_uint(window) or not is_uint(next_incoming_id):
            raise DecodeError("FLOW needs an incoming-window.")
        # Serial numbers: what is on its way to the client is not in its count yet.
        on_the_way = (self._next_outgoing_id - next_incoming_id) % _WRAP
        had_room, self._remote_window = self.has_room, window - on_the_way
        handle, echo = fields[4], fields[9]
        if handle is not None:
            self._link(fields, 4).receive_flow(fields[5], fields[6], fields[8] is True, echo is True)
        elif echo:
            self.write_flow()
        if not had_room:
            self.resume()

    def _receive_disposition(self, fields: list[Any]) -> None:
        is_receiver, first, last, is_settled, outcome = fields[:5]
        last = first if last is None else last
        if not isinstance(is_receiver, bool) or not isinstance(first, int) or not isinstance(last, int):
            raise DecodeError("DISPOSITION needs a role and a delivery-id.")
        if not is_receiver:
            return
        if type(outcome) is Described and type(outcome.value) is list:
            code, values = outcome.descriptor, outcome.value
        elif outcome is None and is_settled:
            code, values = frames.RELEASED, []
        else:
            return
        if code == frames.RECEIVED:
            return
        if first == last:
            ids: Any = (first,)
        elif last - first < _LARGEST_RANGE:
            ids = range(first, last + 1)
        else:
            ids = [number for number in self._unsettled if first <= number <= last]
        for delivery_id in ids:
            delivery = self._unsettled.pop(delivery_id, None)
            if delivery is not None:
                delivery.is_settled = is_settled is True
                delivery.link.endpoint.settled(delivery, code, values)
