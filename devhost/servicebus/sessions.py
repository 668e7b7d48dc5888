"""The sessions of a queue: who holds one, who waits for one, and their states."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable
from itertools import islice
from typing import Any
from uuid import UUID

from devhost.servicebus.brokered_message import BrokeredMessage
from devhost.servicebus.delivery import Consumer
from devhost.servicebus.errors import ServiceBusError, SessionCannotBeLockedError, SessionLockLostError
from devhost.servicebus.lane import Lane
from devhost.servicebus.namespace import Namespace
from devhost.servicebus.sequence_index import SequenceIndex
from devhost.servicebus.store import StoredSession


class Session(Lane):
    """The messages that share a session id, in order, and a state that outlives them."""

    __slots__ = ("session_id", "index", "state", "state_updated_at", "lock", "locked")

    def __init__(self, session_id: str) -> None:
        self.index = SequenceIndex()
        super().__init__(self.index.messages)
        self.session_id = session_id
        self.state: bytes | None = None
        self.state_updated_at = 0
        self.lock: SessionLock | None = None
        self.locked: dict[UUID, BrokeredMessage] = {}
        """Its messages that are locked, by token."""


class SessionLock:
    """A receiver's hold on a session. While it lasts nobody else gets the session's messages."""

    __slots__ = ("session", "locked_until", "is_held", "appointment")

    def __init__(self, session: Session, locked_until: int) -> None:
        self.session = session
        self.locked_until = locked_until
        """In ms since 1970."""
        self.is_held = True
        self.appointment: list[Any] | None = None

    @property
    def session_id(self) -> str:
        """Which session."""
        return self.session.session_id


class SessionRequest:
    """Somebody waits for the next available session."""

    __slots__ = ("grant", "refuse", "is_waiting")

    def __init__(
        self, grant: Callable[[SessionLock], None], refuse: Callable[[ServiceBusError], None] | None = None
    ) -> None:
        self.grant = grant
        self.refuse = refuse
        self.is_waiting = True

    def cancel(self) -> None:
        """It is not waited for any more. Does nothing when it was granted."""
        self.is_waiting = False


class Sessions:
    """All sessions of one queue."""

    def __init__(
        self,
        queue_id: int,
        namespace: Namespace,
        lock_duration: Callable[[], int],
        give_back: Callable[[Session, bool], None],
    ) -> None:
        """`give_back` unlocks the session's messages; True: as failed deliveries."""
        self._queue_id = queue_id
        self._namespace = namespace
        self._lock_duration = lock_duration
        self._give_back = give_back
        self._sessions: dict[str, Session] = {}
        self._ready: OrderedDict[str, Session] = OrderedDict()
        self._requests: deque[SessionRequest] = deque()

    def get(self, session_id: str) -> Session:
        """The session of that id, new if need be."""
        session = self._sessions.get(session_id)
        if session is None:
            session = self._sessions[session_id] = Session(session_id)
        return session

    def find(self, session_id: str) -> Session | None:
        """The session of that id if there is anything to it."""
        return self._sessions.get(session_id)

    def restore(self, stored: StoredSession) -> None:
        """A state that has survived."""
        session = self.get(stored.session_id)
        session.state, session.state_updated_at = stored.state, stored.updated_at

    def forget_if_empty(self, session: Session) -> None:
        """A session is as long as it has messages, a state or a lock."""
        if not session.index and session.state is None and session.lock is None:
            self._sessions.pop(session.session_id, None)
            self._ready.pop(session.session_id, None)

    # --- locks ------------------------------------------------------------------------------------------------------

    def request(self, session_id: str | None, request: SessionRequest) -> None:
        """Grant that session or, None, the next that has messages, now or later; requests wait in their order.

        Raises SessionCannotBeLockedError when the named one is held.
        """
        if session_id is None:
            self._requests = deque(waiting for waiting in self._requests if waiting.is_waiting)
            self._requests.append(request)
            self._grant_ready()
            return
        session = self.get(session_id)
        if session.lock is not None:
            raise SessionCannotBeLockedError(
                f"The session '{session_id}' is held by another receiver. Close that one, wait until its lock expires,"
                " or ask for the next available session."
            )
        self._grant(session, request)

    def offer(self, session: Session) -> None:
        """It may have messages that nobody holds."""
        if session.lock is None and session.first() is not None:
            self._ready[session.session_id] = session
            self._grant_ready()

    def held(self, session_id: str) -> SessionLock:
        """The session's lock. Raises SessionLockLostError when nobody holds it."""
        session = self._sessions.get(session_id)
        if session is None or session.lock is None:
            raise SessionLockLostError(
                f"The session '{session_id}' is not locked: its lock expired, or its receiver was closed."
                " Accept the session again; renew its lock when the work takes longer."
            )
        return session.lock

    def renew(self, session_id: str, now: int) -> int:
        """The new end of its lock. Raises SessionLockLostError."""
        lock = self.held(session_id)
        assert lock.appointment is not None
        self._namespace.agenda.cancel(lock.appointment)
        lock.locked_until = now + self._lock_duration()
        lock.appointment = self._namespace.agenda.at(lock.locked_until, self._expire, lock)
        for message in lock.session.locked.values():
            message.locked_until = lock.locked_until
        return lock.locked_until

    def release(self, lock: SessionLock) -> None:
        """Its receiver is done with it: its messages come again, uncounted. Does nothing when it was lost before."""
        if lock.is_held:
            self._end(lock, is_failure=False)
            self._set_free(lock.session)

    def end_all(self, error: ServiceBusError) -> None:
        """Nobody can have a session of this queue any more."""
        requests, self._requests = self._requests, deque()
        for request in requests:
            if request.is_waiting:
                request.is_waiting = False
                if request.refuse is not None:
                    request.refuse(error)
        for session in [session for session in self._sessions.values() if session.lock is not None]:
            assert session.lock is not None
            consumers = self._end(session.lock, is_failure=False)
            self._set_free(session)
            for consumer in consumers:
                consumer.lost(error)

    def _grant_ready(self) -> None:
        while self._ready and self._requests:
            if not self._requests[0].is_waiting:
                self._requests.popleft()
                continue
            _, session = self._ready.popitem(last=False)
            if session.lock is None and session.first() is not None:
                self._grant(session, self._requests.popleft())

    def _grant(self, session: Session, request: SessionRequest) -> None:
        self._ready.pop(session.session_id, None)
        until = self._namespace.now() + self._lock_duration()
        lock = session.lock = SessionLock(session, until)
        lock.appointment = self._namespace.agenda.at(until, self._expire, lock)
        request.is_waiting = False
        request.grant(lock)

    def _expire(self, lock: SessionLock) -> None:
        consumers = self._end(lock, is_failure=True)
        self._set_free(lock.session)
        for consumer in consumers:
            consumer.lost(
                SessionLockLostError(
                    f"The lock of session '{lock.session_id}' expired. Accept the session again; renew its lock when"
                    " the work takes longer."
                )
            )

    def _end(self, lock: SessionLock, *, is_failure: bool) -> list[Consumer]:
        session = lock.session
        lock.is_held = False
        session.lock = None
        if lock.appointment is not None:
            self._namespace.agenda.cancel(lock.appointment)
        consumers = list(session.consumers)
        for consumer in consumers:
            session.detach(consumer)
        self._give_back(session, is_failure)
        return consumers

    def _set_free(self, session: Session) -> None:
        self.offer(session)
        self.forget_if_empty(session)

    # --- states -----------------------------------------------------------------------------------------------------

    def set_state(self, session_id: str, state: bytes | None, now: int) -> None:
        """Keep it, None: no more. Raises SessionLockLostError unless somebody holds the session."""
        session = self.held(session_id).session
        session.state, session.state_updated_at = state, now
        if state is None:
            self._namespace.store.remove_session(self._queue_id, session_id)
        else:
            self._namespace.store.save_session(StoredSession(self._queue_id, session_id, state, now))

    def ids(self, updated_since: int | None, skip: int, top: int) -> list[str]:
        """Ids of sessions with messages or a state or, given a moment, of those whose state was set since then."""
        if updated_since is None:
            found = (session for session in self._sessions.values() if session.index or session.state is not None)
        else:
            found = (
                session
                for session in self._sessions.values()
                if session.state is not None and session.state_updated_at >= updated_since
            )
        return list(islice(sorted(session.session_id for session in found), skip, skip + top))

    def clear(self) -> None:
        """Forget all sessions and their states; who holds one, holds an empty one."""
        for session in list(self._sessions.values()):
            session.index.messages.clear()
            session.locked.clear()
            if session.state is not None:
                session.state = None
                self._namespace.store.remove_session(self._queue_id, session.session_id)
            self.forget_if_empty(session)
