"""What the engine asks of the server behind it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from devhost.servicebus.amqp.connection import Connection
    from devhost.servicebus.amqp.link import Link
    from devhost.servicebus.amqp.sasl import SaslInit


class Container(Protocol):
    """What is behind the connections of a server."""

    container_id: str

    @property
    def has_more_to_say(self) -> bool:
        """Whether it will write to connections from a `call_soon` that it has asked for by now."""

    def connected(self, connection: Connection) -> None:
        """A socket was accepted."""

    def log_in(self, connection: Connection, init: SaslInit) -> bool:
        """Whether a client may go on after SASL."""

    def opened(self, connection: Connection) -> None:
        """A client has sent its OPEN."""

    def attach(self, link: Link) -> None:
        """A client wants a link: accept or refuse it, now or later."""

    def disconnected(self, connection: Connection) -> None:
        """A connection is gone."""
