"""Links on which a client receives, and what goes out on them."""

from __future__ import annotations

from typing import Any, Protocol

from devhost.servicebus.amqp import frames
from devhost.servicebus.amqp.errors import DecodeError
from devhost.servicebus.amqp.link import Endpoint, Link, LinkState
from devhost.servicebus.amqp.types import is_uint

_WRAP = 0x1_0000_0000


class OutgoingEndpoint(Endpoint, Protocol):
    """Sends to a client."""

    def credited(self) -> None:
        """The client takes messages (again). With `link.is_draining` it wants what there is, then `finish_drain`."""

    def settled(self, delivery: OutgoingDelivery, outcome: int, fields: list[Any]) -> None:
        """The client has said what becomes of a delivery: an outcome's code and fields."""


class OutgoingDelivery:
    """One message that a client has, and that is not settled."""

    __slots__ = ("link", "delivery_id", "context", "is_settled")

    def __init__(self, link: OutgoingLink, delivery_id: int, context: Any) -> None:
        self.link = link
        self.delivery_id = delivery_id
        self.context = context
        """What the endpoint knows it by."""
        self.is_settled = False
        """The client does not wait for an answer."""

    def settle(self, outcome: bytes) -> None:
        """Answer the client's disposition with an encoded outcome: what was applied, or why it was not."""
        if not self.is_settled and self.link.state is LinkState.ATTACHED:
            session = self.link.session
            session.write(frames.disposition(session.channel, False, self.delivery_id, outcome))


class OutgoingLink(Link):
    """A link on which the client receives."""

    is_receiver = False
    endpoint: OutgoingEndpoint
    is_draining = False

    @property
    def room(self) -> int:
        """How many deliveries may go out now."""
        return self.credit if self.state is LinkState.ATTACHED and self.session.has_room else 0

    def accept(self, endpoint: OutgoingEndpoint, **options: Any) -> None:
        """Answer the ATTACH; credit that came before the answer counts."""
        super().accept(endpoint, **options)
        self.resume()

    def take_credit(self) -> None:
        """One delivery is on its way to `transfer`."""
        self.delivery_count = (self.delivery_count + 1) % _WRAP
        self.credit -= 1

    def transfer(self, payload: bytes, tag: bytes, is_settled: bool, context: Any = None) -> None:
        """Send a message for which credit was taken. `tag`: at most 32 bytes. A link that is gone sends nothing."""
        if self.state is LinkState.ATTACHED:
            self.session.transfer(self, payload, tag, is_settled, context)

    def receive_flow(self, delivery_count: Any, credit: Any, is_drain: bool, is_echo: bool) -> None:
        """The client grants credit, takes it back, or wants the link drained. Raises DecodeError."""
        if self.state is LinkState.DETACHED:
            return
        if not is_uint(delivery_count or 0) or not is_uint(credit or 0):
            raise DecodeError("FLOW needs numbers for delivery-count and link-credit.")
        if credit is not None:
            on_the_way = (self.delivery_count - (delivery_count or 0)) % _WRAP
            self.credit = max(credit - on_the_way, 0)
        self.is_draining = is_drain
        self.resume()
        if is_echo and not is_drain and self.state is LinkState.ATTACHED:
            self.session.write_flow(self)

    def resume(self) -> None:
        """Go on sending, if anything may be sent."""
        if self.state is LinkState.ATTACHED and (self.room or self.is_draining):
            self.endpoint.credited()

    def finish_drain(self) -> None:
        """There is no more for now: the rest of the credit is given back, and the client is told."""
        if self.is_draining and self.session.has_room and self.state is LinkState.ATTACHED:
            self.is_draining = False
            self.delivery_count = (self.delivery_count + self.credit) % _WRAP
            self.credit = 0
            self.session.write_flow(self, is_drained=True)

    def _forget(self) -> None:
        self.session.forget(self)
