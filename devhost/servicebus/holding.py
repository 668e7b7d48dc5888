"""The messages that a queue holds: which may go out and to whom, which are locked, which expire."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from devhost.servicebus.brokered_message import BrokeredMessage
from devhost.servicebus.delivery import Consumer, MessageState
from devhost.servicebus.descriptions import QueueDescription, SubscriptionDescription
from devhost.servicebus.lane import Lane
from devhost.servicebus.locks import Locks
from devhost.servicebus.message_log import MessageLog
from devhost.servicebus.namespace import Namespace
from devhost.servicebus.sessions import Session, Sessions
from devhost.servicebus.store import StoredSession

Bury = Callable[[BrokeredMessage, str | None, str | None, Mapping[str, Any]], None]
"""Takes a message to a dead-letter queue, with reason, description, and other properties to set."""


class Holding:
    """What becomes of messages in a queue, whoever asks for it."""

    def __init__(
        self,
        queue_id: int,
        path: str,
        description: QueueDescription | SubscriptionDescription,
        namespace: Namespace,
        forward: Callable[[BrokeredMessage], bool],
        bury: Bury | None = None,
    ) -> None:
        """`forward` may take a message that was given back out of this queue, and says whether it did.

        `bury` gets messages that were taken out of this queue. None: this is a sub-queue, they stay until settled.

        A sub-queue obeys only lock duration and status of its entity's `description`.
        """
        self.path = path
        self.description = description
        self.accessed_at = 0
        """When somebody last asked for messages, ms since 1970; 0: not since the bus was started."""
        self.requires_session = bury is not None and description.requires_session
        self.log = MessageLog(queue_id, namespace.store)
        self._namespace = namespace
        self._forward = forward
        self._bury = bury
        self._locks = Locks(namespace.agenda, lambda message: self.give_back(message, is_failure=True))
        self._lane = Lane(self.log.messages)
        self._sessions = Sessions(queue_id, namespace, lambda: self.description.lock_duration, self._give_back_session)

    # --- in and out -------------------------------------------------------------------------------------------------

    def admit(self, message: BrokeredMessage) -> None:
        """A message that belongs here now: to be handed out, or scheduled and waiting."""
        self.log.add(message)
        self._place(message)

    def restore(self, message: BrokeredMessage) -> None:
        """A message that was here before a restart."""
        self.log.restore(message)
        self._place(message)

    def restore_session(self, stored: StoredSession) -> None:
        """A session's state from before a restart."""
        self._sessions.restore(stored)

    def take(self, message: BrokeredMessage) -> None:
        """An unlocked message that belongs elsewhere from now on."""
        self._leave(message)
        self.log.take(message)
        self._left(message)

    def discard(self, message: BrokeredMessage) -> None:
        """An unlocked message that is done with."""
        self._leave(message)
        self.log.remove(message)
        self._left(message)

    def available(self) -> list[BrokeredMessage]:
        """The messages that nobody has locked, deferred or scheduled."""
        return [
            message
            for message in self.log.index.walk(0)
            if message.token is None and message.state is MessageState.ACTIVE
        ]

    def clear(self) -> None:
        """Drop all messages and session states."""
        for message in self.log.messages.values():
            if message.token is not None:
                self._locks.unlock(message)
            elif message.appointment is not None:
                self._namespace.agenda.cancel(message.appointment)
        self.log.clear()
        self._sessions.clear()

    # --- locks ------------------------------------------------------------------------------------------------------

    def lock(self, message: BrokeredMessage, now: int) -> None:
        """Nobody else gets it until the lock, or its session's, ends."""
        lane = message.lane
        if isinstance(lane, Session):
            assert lane.lock is not None
            token = self._locks.lock(message, lane.lock.locked_until, is_timed=False)
            lane.locked[token] = message
        else:
            self._locks.lock(message, now + self.description.lock_duration, is_timed=True)

    def unlock(self, message: BrokeredMessage) -> None:
        """What becomes of it is for the caller to say."""
        if isinstance(message.lane, Session) and message.token is not None:
            del message.lane.locked[message.token]
        self._locks.unlock(message)

    def give_back(self, message: BrokeredMessage, *, is_failure: bool) -> None:
        """A message whose lock has ended unsettled: it comes again at its place, or has failed, or lived, too often."""
        self._settle_down(message, is_failure)
        if message.lane is not None:
            self.serve(message.lane)

    def _give_back_session(self, session: Session, is_failure: bool) -> None:
        for message in list(session.locked.values()):
            self.unlock(message)
            self._settle_down(message, is_failure)

    def _settle_down(self, message: BrokeredMessage, is_failure: bool) -> None:
        if is_failure:
            message.delivery_count += 1
            if self._bury is not None and message.delivery_count >= self.description.max_delivery_count:
                self.take(message)
                text = f"The message could not be consumed in {message.delivery_count} delivery attempts."
                self._bury(message, "MaxDeliveryCountExceeded", text, {})
                return
            self.log.save(message)
        if message.state is not MessageState.ACTIVE:
            return
        if message.expires_at is not None and message.expires_at <= self._namespace.now():
            self._expire(message)
        elif not self._forward(message):
            self._make_available(message)

    # --- handing out ------------------------------------------------------------------------------------------------

    def serve(self, lane: Lane) -> None:
        """Hand out what there is to who has credit. Those who ask for it meanwhile are served by the first call."""
        if isinstance(lane, Session) and lane.lock is None:
            self._sessions.offer(lane)
            return
        if lane.is_dispatching:
            return
        lane.is_dispatching = True
        try:
            while (consumer := lane.next_consumer()) is not None and (message := lane.pop()) is not None:
                self._hand_over(message, consumer)
        finally:
            lane.is_dispatching = False

    def _hand_over(self, message: BrokeredMessage, consumer: Consumer) -> None:
        if consumer.settles:
            delivery = message.to_delivery()
            self.discard(message)
        else:
            self.lock(message, self._namespace.now())
            delivery = message.to_delivery()
        consumer.deliver(delivery)

    # --- inside -----------------------------------------------------------------------------------------------------

    def _place(self, message: BrokeredMessage) -> None:
        lane = self._lane
        if self.requires_session:
            lane = self._sessions.get(message.message.session_id or "")
            lane.index.add(message)
        message.lane = lane
        if message.state is MessageState.ACTIVE:
            self._make_available(message)
            self.serve(lane)

    def _make_available(self, message: BrokeredMessage) -> None:
        if message.expires_at is not None:
            message.appointment = self._namespace.agenda.at(message.expires_at, self._expire, message)
        assert message.lane is not None
        message.lane.push(message)

    def _expire(self, message: BrokeredMessage) -> None:
        if self._bury is not None and self.description.dead_letter_on_expiration:
            self.take(message)
            self._bury(message, "TTLExpiredException", "The message was not consumed within its time to live.", {})
        else:
            self.discard(message)

    def _leave(self, message: BrokeredMessage) -> None:
        if message.appointment is not None:
            self._namespace.agenda.cancel(message.appointment)
            message.appointment = None
        if isinstance(message.lane, Session):
            message.lane.index.remove(message)

    def _left(self, message: BrokeredMessage) -> None:
        if isinstance(message.lane, Session):
            self._sessions.forget_if_empty(message.lane)
        message.lane = None
