"""A client that asks for a session: its ATTACH is answered when it has one, or when it has waited long enough."""

from __future__ import annotations

import asyncio

from devhost.servicebus.amqp.outgoing import OutgoingLink
from devhost.servicebus.amqp.types import Described, Symbol
from devhost.servicebus.broker import Broker
from devhost.servicebus.errors import InvalidFieldError, OperationTimeoutError, ServiceBusError
from devhost.servicebus.queue import MessageQueue
from devhost.servicebus.receivers import Receiver
from devhost.servicebus.sessions import SessionLock, SessionRequest

_FILTER = Symbol("com.microsoft:session-filter")
_TIMEOUT = Symbol("com.microsoft:timeout")
_LOCKED_UNTIL = Symbol("com.microsoft:locked-until-utc")

DEFAULT_WAIT = 65.0
"""Seconds that the cloud waits for a session when the client does not say how long (servicebus-amqp.md §4)."""
_TICKS_PER_MS = 10_000
_EPOCH_IN_TICKS = 621_355_968_000_000_000


def wants_session(link: OutgoingLink) -> bool:
    """Whether the client asks for a session, named or not."""
    return _FILTER in link.filters()


class SessionAttach:
    """A link that waits for a session."""

    def __init__(self, broker: Broker, queue: MessageQueue, link: OutgoingLink) -> None:
        """Answers the ATTACH, now or later. Raises ServiceBusError if there is nothing to wait for."""
        self._broker = broker
        self._queue = queue
        self._link = link
        wanted = link.filters()[_FILTER]
        session_id = wanted.value if isinstance(wanted, Described) else wanted
        if not isinstance(session_id, str | None):
            raise InvalidFieldError("A session id is a text; null asks for the next available session.")
        link.endpoint = self
        self._timer = asyncio.get_running_loop().call_later(_patience(link), self._give_up)
        try:
            self._request: SessionRequest = queue.request_session(session_id, self._grant, self._refuse)
        except ServiceBusError:
            self._timer.cancel()
            raise

    def detached(self) -> None:
        """The client does not wait any longer."""
        self._timer.cancel()
        self._request.cancel()

    def _grant(self, lock: SessionLock) -> None:
        self._timer.cancel()
        receiver = Receiver(self._broker, self._queue, self._link, lock)
        # First the queue: nothing goes out before the link is accepted.
        self._queue.attach(receiver)
        self._link.accept(
            receiver,
            source=self._link.source_with_filter(_FILTER, lock.session_id),
            properties={_LOCKED_UNTIL: lock.locked_until * _TICKS_PER_MS + _EPOCH_IN_TICKS},
        )

    def _give_up(self) -> None:
        self._request.cancel()
        self._refuse(OperationTimeoutError("No session became available in time. Ask again."))

    def _refuse(self, error: ServiceBusError) -> None:
        self._timer.cancel()
        self._link.refuse(error.condition, str(error))


def _patience(link: OutgoingLink) -> float:
    """Seconds."""
    timeout = link.properties.get(_TIMEOUT)
    return timeout / 1000 if isinstance(timeout, int) else DEFAULT_WAIT
