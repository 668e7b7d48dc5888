"""What can go wrong on an AMQP connection, each with the condition the peer is told."""

from __future__ import annotations


class AmqpError(Exception):
    """A fault with its AMQP condition; where it is raised decides whether link, session or connection ends."""

    def __init__(self, condition: str, description: str) -> None:
        super().__init__(f"{condition}: {description}")
        self.condition = condition
        self.description = description


class DecodeError(AmqpError):
    """Bytes that are not AMQP 1.0 (`amqp:decode-error`)."""

    def __init__(self, description: str) -> None:
        super().__init__("amqp:decode-error", description)


class FramingError(AmqpError):
    """A frame that cannot be on this connection (`amqp:connection:framing-error`)."""

    def __init__(self, description: str) -> None:
        super().__init__("amqp:connection:framing-error", description)
