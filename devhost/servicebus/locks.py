"""The locks of a queue's messages."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from uuid import UUID

from devhost.servicebus.agenda import Agenda
from devhost.servicebus.brokered_message import BrokeredMessage
from devhost.servicebus.errors import MessageLockLostError

_random_bits = Random().getrandbits


class Locks:
    """Messages by lock token. A lock is tied to no link or connection: it ends when it is settled or over."""

    def __init__(self, agenda: Agenda, on_expired: Callable[[BrokeredMessage], None]) -> None:
        self._agenda = agenda
        self._on_expired = on_expired
        self._held: dict[UUID, BrokeredMessage] = {}

    def __len__(self) -> int:
        return len(self._held)

    def lock(self, message: BrokeredMessage, until: int, *, is_timed: bool) -> UUID:
        """Lock it until that moment (ms). A message of a session is not timed itself: it goes with its session."""
        token = UUID(int=_random_bits(128))
        if message.appointment is not None:
            self._agenda.cancel(message.appointment)
        message.appointment = self._agenda.at(until, self._expire, message) if is_timed else None
        message.token = token
        message.locked_until = until
        self._held[token] = message
        return token

    def find(self, token: UUID) -> BrokeredMessage:
        """The message under that lock. Raises MessageLockLostError."""
        message = self._held.get(token)
        if message is None:
            raise MessageLockLostError(
                f"The lock {token} is not held: it expired, or its message was settled before, or the bus was"
                " restarted. The message comes again if it was not settled; renew locks that are needed for longer."
            )
        return message

    def unlock(self, message: BrokeredMessage) -> None:
        """End its lock. What becomes of the message is for others to say."""
        assert message.token is not None
        del self._held[message.token]
        message.token = message.locked_until = None
        if message.appointment is not None:
            self._agenda.cancel(message.appointment)
            message.appointment = None

    def renew(self, message: BrokeredMessage, until: int) -> None:
        """Let it end later."""
        assert message.appointment is not None
        self._agenda.cancel(message.appointment)
        message.appointment = self._agenda.at(until, self._expire, message)
        message.locked_until = until

    def _expire(self, message: BrokeredMessage) -> None:
        self.unlock(message)
        self._on_expired(message)
