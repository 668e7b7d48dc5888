"""A queue as its receivers see it: attaching, settlement, peeking, deferred messages, sessions.

The same for queues, subscriptions and their sub-queues. How messages get in is in entity.py.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any
from uuid import UUID

from devhost.servicebus.brokered_message import BrokeredMessage
from devhost.servicebus.delivery import Consumer, Delivery, MessageState
from devhost.servicebus.errors import (
    EntityDisabledError,
    MessageLockLostError,
    MessageNotFoundError,
    NotAllowedError,
    ServiceBusError,
    SessionLockLostError,
)
from devhost.servicebus.holding import Holding
from devhost.servicebus.lane import Lane
from devhost.servicebus.sessions import SessionLock, SessionRequest


class MessageQueue(Holding):
    """One of the queues of an entity. Every operation first does what has become due."""

    # --- receivers --------------------------------------------------------------------------------------------------

    def check_receivable(self) -> None:
        """Raises EntityDisabledError, and NotAllowedError for a queue that forwards everything."""
        if self.description.status in ("Disabled", "ReceiveDisabled"):
            raise EntityDisabledError(
                f"'{self.path}' gives out no messages: its status is {self.description.status}. Set it to Active."
            )
        if self._bury is not None and self.description.forward_to:
            raise NotAllowedError(
                f"'{self.path}' forwards its messages to '{self.description.forward_to}': receive them there."
            )

    def attach(self, consumer: Consumer) -> None:
        """Hand messages to the consumer as long as it has credit, in turn with the others.

        Raises NotAllowedError, SessionLockLostError, EntityDisabledError.
        """
        self.accessed_at = self._namespace.catch_up()
        self.check_receivable()
        lane = self._lane_of(consumer)
        lane.attach(consumer)
        self.serve(lane)

    def wake(self, consumer: Consumer) -> None:
        """Credit was added."""
        self._namespace.catch_up()
        lane = self._lane if consumer.session is None else consumer.session.session
        lane.wake(consumer)
        self.serve(lane)

    def detach(self, consumer: Consumer) -> None:
        """Hand out no more to it. What it has locked stays locked; its session is for `release_session`."""
        lane = self._lane if consumer.session is None else consumer.session.session
        lane.detach(consumer)

    def dismiss(self, error: ServiceBusError) -> None:
        """Tell all receivers that there is nothing to be had here any more."""
        for consumer in list(self._lane.consumers):
            self._lane.detach(consumer)
            consumer.lost(error)
        self._sessions.end_all(error)

    def request_session(
        self,
        session_id: str | None,
        grant: Callable[[SessionLock], None],
        refuse: Callable[[ServiceBusError], None] | None = None,
    ) -> SessionRequest:
        """Have `grant` called with a session's lock: the named one's at once, or the next available one's in time.

        `refuse` is called when the entity goes away while the request waits.
        Raises SessionCannotBeLockedError, NotAllowedError, EntityDisabledError.
        """
        self._namespace.catch_up()
        self.check_receivable()
        self._check_sessions()
        request = SessionRequest(grant, refuse)
        self._sessions.request(session_id, request)
        return request

    def release_session(self, lock: SessionLock) -> None:
        """The session's receiver is closed. Its locked messages come again, uncounted."""
        self._namespace.catch_up()
        self._sessions.release(lock)

    # --- settlement -------------------------------------------------------------------------------------------------

    def complete(self, token: UUID) -> None:
        """The message is done with. This and all that follow raise MessageLockLostError, SessionLockLostError."""
        self.discard(self._unlock(token))

    def abandon(self, token: UUID, properties: Mapping[str, Any] | None = None) -> None:
        """A failed delivery: the message comes again at its place, with these properties, or is dead-lettered."""
        self.give_back(self._unlock(token, properties), is_failure=True)

    def release(self, token: UUID) -> None:
        """No delivery at all: the message comes again, uncounted."""
        self.give_back(self._unlock(token), is_failure=False)

    def defer(self, token: UUID, properties: Mapping[str, Any] | None = None) -> None:
        """Keep the message for who asks for its sequence number. It does not expire any more."""
        message = self._unlock(token, properties)
        message.state = MessageState.DEFERRED
        message.expires_at = None
        self.log.save(message)

    def dead_letter(
        self,
        token: UUID,
        reason: str | None = None,
        description: str | None = None,
        properties: Mapping[str, Any] | None = None,
    ) -> None:
        """Move the message to the dead-letter queue. Raises NotAllowedError in a dead-letter queue."""
        if self._bury is None:
            raise NotAllowedError(
                f"'{self.path}' is a dead-letter queue: its messages cannot be dead-lettered again."
                " Complete or abandon the message."
            )
        message = self._unlock(token)
        self.take(message)
        self._bury(message, reason, description, properties or {})

    def renew(self, token: UUID) -> int:
        """The new end of the lock, in ms."""
        now = self._namespace.catch_up()
        if self.requires_session:
            raise NotAllowedError(
                "A message of a session has no lock of its own to renew: renew its session's lock instead."
            )
        message = self._locks.find(token)
        self._locks.renew(message, now + self.description.lock_duration)
        assert message.locked_until is not None
        return message.locked_until

    # --- sessions ---------------------------------------------------------------------------------------------------

    def renew_session(self, session_id: str) -> int:
        """The new end of the session's lock, in ms. Raises SessionLockLostError."""
        now = self._namespace.catch_up()
        self._check_sessions()
        return self._sessions.renew(session_id, now)

    def get_session_state(self, session_id: str) -> bytes | None:
        """Raises SessionLockLostError unless somebody holds the session."""
        self._namespace.catch_up()
        self._check_sessions()
        return self._sessions.held(session_id).session.state

    def set_session_state(self, session_id: str, state: bytes | None) -> None:
        """None: no state. Raises SessionLockLostError unless somebody holds the session."""
        now = self._namespace.catch_up()
        self._check_sessions()
        self._sessions.set_state(session_id, state, now)

    def session_ids(self, updated_since: int | None = None, skip: int = 0, top: int = 100) -> list[str]:
        """Ids of sessions with messages or a state or, given a moment (ms), of those whose state was set since."""
        self._namespace.catch_up()
        self._check_sessions()
        return self._sessions.ids(updated_since, skip, top)

    # --- by sequence number -----------------------------------------------------------------------------------------

    def peek(self, from_sequence_number: int, count: int, session_id: str | None = None) -> list[Delivery]:
        """Up to `count` messages from that number on, locked, deferred and scheduled ones too. Takes no locks."""
        now = self._namespace.catch_up()
        index = self.log.index
        if session_id is not None and self.requires_session:
            session = self._sessions.find(session_id)
            if session is None:
                return []
            index = session.index
        found: list[Delivery] = []
        if count <= 0:
            return found
        for message in index.walk(from_sequence_number):
            if message.expires_at is None or message.expires_at > now:
                delivery = message.to_delivery()
                delivery.token = delivery.locked_until = None
                found.append(delivery)
                if len(found) == count:
                    break
        return found

    def receive_deferred(
        self, sequence_numbers: Sequence[int], settles: bool, session_id: str | None = None
    ) -> list[Delivery]:
        """All of these deferred messages, locked or (`settles`) gone. Raises MessageNotFoundError, and takes none."""
        now = self._namespace.catch_up()
        self.check_receivable()
        messages = []
        for number in dict.fromkeys(sequence_numbers):
            message = self.log.messages.get(number)
            if message is None or message.state is not MessageState.DEFERRED or message.token is not None:
                raise MessageNotFoundError(
                    f"'{self.path}' holds no deferred message {number} that is free. It was settled, or somebody has"
                    " it locked, or it was not deferred."
                )
            if self.requires_session:
                self._check_held(message, session_id)
            messages.append(message)
        deliveries = []
        for message in messages:
            if settles:
                deliveries.append(message.to_delivery())
                self.discard(message)
            else:
                self.lock(message, now)
                deliveries.append(message.to_delivery())
        return deliveries

    # --- inside -----------------------------------------------------------------------------------------------------

    def _unlock(self, token: UUID, properties: Mapping[str, Any] | None = None) -> BrokeredMessage:
        self._namespace.catch_up()
        try:
            message = self._locks.find(token)
        except MessageLockLostError as error:
            if not self.requires_session:
                raise
            raise SessionLockLostError(f"{error} In a session, locks end with the session's lock.") from error
        self.unlock(message)
        if properties:
            message.change_properties(properties)
            self.log.save(message)
        return message

    def _lane_of(self, consumer: Consumer) -> Lane:
        if consumer.session is None:
            if self.requires_session:
                raise NotAllowedError(
                    f"'{self.path}' requires sessions: ask for a session by its id, or for the next available one."
                )
            return self._lane
        self._check_sessions()
        if not consumer.session.is_held:
            raise SessionLockLostError(f"The lock of session '{consumer.session.session_id}' is over. Accept it again.")
        return consumer.session.session

    def _check_sessions(self) -> None:
        if not self.requires_session:
            raise NotAllowedError(f"'{self.path}' has no sessions: receive from it without a session id.")

    def _check_held(self, message: BrokeredMessage, session_id: str | None) -> None:
        of = message.message.session_id or ""
        if session_id is not None and of != session_id:
            raise MessageNotFoundError(f"The message {message.sequence_number} is of session '{of}': receive it there.")
        self._sessions.held(of)
