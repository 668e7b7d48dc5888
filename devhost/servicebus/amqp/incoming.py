"""Links on which a client sends, and what comes in on them."""

from __future__ import annotations

from typing import Any, Protocol

from devhost.servicebus.amqp import frames
from devhost.servicebus.amqp.errors import DecodeError
from devhost.servicebus.amqp.link import Endpoint, Link, LinkState
from devhost.servicebus.amqp.types import is_uint

CREDIT = 1000
_TOP_UP_AT = CREDIT // 2


class IncomingEndpoint(Endpoint, Protocol):
    """Takes what a client sends."""

    def received(self, delivery: IncomingDelivery) -> None:
        """A message has come whole; `delivery` is to be accepted or rejected, now or later."""


class IncomingDelivery:
    """One message that a client has sent and waits to hear about."""

    __slots__ = ("link", "delivery_id", "is_settled", "message_format", "payload")

    def __init__(self, link: IncomingLink, delivery_id: int, message_format: int, is_settled: bool) -> None:
        self.link = link
        self.delivery_id = delivery_id
        self.message_format = message_format
        self.is_settled = is_settled
        """The client does not want to hear about it."""
        self.payload = b""

    def accept(self) -> None:
        """It is in safe keeping."""
        self._settle(frames.ACCEPTED_OUTCOME)

    def reject(self, condition: str, description: str) -> None:
        """It is not taken, and why."""
        self._settle(frames.rejected_outcome(condition, description))

    def _settle(self, outcome: bytes) -> None:
        if not self.is_settled and self.link.state is LinkState.ATTACHED:
            session = self.link.session
            session.write(frames.disposition(session.channel, True, self.delivery_id, outcome))


class IncomingLink(Link):
    """A link on which the client sends. It gets its credit when it is accepted, and more as it uses it."""

    is_receiver = True
    endpoint: IncomingEndpoint

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.limit = 0
        """Bytes that a message may have; 0: no limit."""
        self._current: IncomingDelivery | None = None
        self._parts: list[bytes] | None = None
        self._size = 0

    def accept(self, endpoint: IncomingEndpoint, *, max_message_size: int = 0, **options: Any) -> None:
        """Answer the ATTACH and grant credit. A message larger than `max_message_size` bytes is rejected unread."""
        if self.state is LinkState.PENDING:
            super().accept(endpoint, max_message_size=max_message_size, **options)
            self.limit = max_message_size
            self.credit = CREDIT
            self.session.write_flow(self)

    def receive_transfer(self, fields: list[Any], payload: bytes) -> None:
        """One frame of a delivery. Raises DecodeError if its fields cannot be used."""
        if self.state is not LinkState.ATTACHED:
            return
        _, delivery_id, _, message_format, is_settled, has_more = fields[:6]
        if self._current is None:
            if not is_uint(delivery_id) or not isinstance(message_format, int | None):
                raise DecodeError("The first TRANSFER of a delivery needs a delivery-id, and its format is a number.")
            self._current = IncomingDelivery(self, delivery_id, message_format or 0, is_settled is True)
            self._count()
        self._size += len(payload)
        is_too_large = 0 < self.limit < self._size
        if has_more is True or self._parts is not None:
            self._parts = [] if self._parts is None else self._parts
            if not is_too_large:
                self._parts.append(payload)
        if fields[9] is True:  # aborted: as if it had never begun
            self._forget()
        elif has_more is not True:
            delivery, parts, size = self._current, self._parts, self._size
            self._forget()
            if is_too_large:
                delivery.reject(
                    "amqp:link:message-size-exceeded",
                    f"The message has {size} bytes, the entity takes {self.limit}. Send less, or put the content in a"
                    " blob and send its name.",
                )
            else:
                delivery.payload = payload if parts is None else b"".join(parts)
                self.endpoint.received(delivery)

    def receive_flow(self, delivery_count: Any, credit: Any, is_drain: bool, is_echo: bool) -> None:
        """The client's view of its own credit does not matter here."""
        if is_echo and self.state is LinkState.ATTACHED:
            self.session.write_flow(self)

    def _forget(self) -> None:
        self._parts, self._current, self._size = None, None, 0

    def _count(self) -> None:
        # Some clients send before they have credit (servicebus-amqp.md, "Where naive stand-ins go wrong" 21).
        self.delivery_count = (self.delivery_count + 1) % 0x1_0000_0000
        self.credit = max(self.credit - 1, 0)
        if self.credit < _TOP_UP_AT:
            self.credit = CREDIT
            self.session.write_flow(self)
