"""What a queue with its dead-letter queue must do, said once more and as simply as can be: lists, and no clockwork."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class Item:
    """A message."""

    text: str
    number: int
    enqueued_at: int
    ttl: int | None
    session: str | None
    count: int = 0
    place: str = "queue"
    """queue, dead or gone."""
    state: str = "active"
    """active, deferred or scheduled."""
    due: int | None = None
    first_number: int | None = None
    locked_until: int | None = None
    reason: str | None = None

    @property
    def expires_at(self) -> int | None:
        lives = self.ttl is not None and self.place == "queue" and self.state == "active"
        return self.enqueued_at + self.ttl if lives else None


@dataclass
class SessionModel:
    """What is known of a session beside its messages."""

    locked_until: int | None = None
    state: bytes | None = None


@dataclass
class Model:
    """All messages that there ever were, and the rules."""

    lock_duration: int
    max_delivery_count: int
    window: int | None
    """Of the duplicate detection, None: there is none."""
    dead_letters_expired: bool
    has_sessions: bool
    now: int = 0
    last_number: int = 0
    items: list[Item] = field(default_factory=list)
    seen: dict[str, int] = field(default_factory=dict)
    sessions: dict[str, SessionModel] = field(default_factory=dict)

    # --- questions --------------------------------------------------------------------------------------------------

    def session(self, session_id: str) -> SessionModel:
        return self.sessions.setdefault(session_id, SessionModel())

    def is_locked(self, item: Item) -> bool:
        return item.locked_until is not None

    def listed(self, place: str) -> list[Item]:
        """What peeking shows."""
        shown = [item for item in self.items if item.place == place]
        return sorted(
            (item for item in shown if item.expires_at is None or item.expires_at > self.now),
            key=lambda item: item.number,
        )

    def available(self, place: str, session_id: str | None = None) -> list[Item]:
        return [
            item
            for item in self.listed(place)
            if item.state == "active"
            and not self.is_locked(item)
            and (session_id is None or item.session == session_id)
        ]

    def available_sessions(self) -> set[str]:
        found = {item.session for item in self.available("queue")}
        return {name for name in found if name is not None and self.session(name).locked_until is None}

    # --- time -------------------------------------------------------------------------------------------------------

    def advance(self, milliseconds: int) -> None:
        """Everything that has become due happens now, as after a pause of the process."""
        self.now += milliseconds
        waiting = [item for item in self.items if item.place == "queue" and item.state == "scheduled"]
        for item in sorted(waiting, key=lambda item: (item.due, item.number)):
            if item.due <= self.now:
                item.state, item.enqueued_at, item.first_number = "active", self.now, item.number
                item.number = self.next_number()
        for session in self.sessions.values():
            if session.locked_until is not None and session.locked_until <= self.now:
                session.locked_until = None
        for item in self.items:
            if self.is_locked(item) and item.locked_until <= self.now:
                self.fail(item)
        for item in self.items:
            if not self.is_locked(item) and item.expires_at is not None and item.expires_at <= self.now:
                self.expire(item)

    def expire(self, item: Item) -> None:
        if self.dead_letters_expired:
            self.bury(item, "TTLExpiredException")
        else:
            item.place = "gone"

    # --- what is done -----------------------------------------------------------------------------------------------

    def next_number(self) -> int:
        self.last_number += 1
        return self.last_number

    def send(self, text: str, message_id: str, ttl: int | None, session: str | None, due: int | None) -> int:
        number = self.next_number()
        if self.window is not None:
            if self.now - self.seen.get(message_id, -self.window) < self.window:
                return number
            self.seen[message_id] = self.now
        item = Item(text, number, self.now, ttl, session)
        if due is not None and due > self.now:
            item.state, item.due = "scheduled", due
        self.items.append(item)
        return number

    def lock(self, item: Item) -> None:
        until = self.now + self.lock_duration
        if self.has_sessions and item.place == "queue":
            until = self.session(item.session).locked_until
        item.locked_until = until

    def unlock(self, item: Item) -> None:
        item.locked_until = None
        if item.expires_at is not None and item.expires_at <= self.now:
            self.expire(item)

    def fail(self, item: Item) -> None:
        item.count += 1
        if item.place == "queue" and item.count >= self.max_delivery_count:
            self.bury(item, "MaxDeliveryCountExceeded")
        else:
            self.unlock(item)

    def bury(self, item: Item, reason: str) -> None:
        item.place, item.state, item.reason, item.locked_until = "dead", "active", reason, None

    def settle(self, item: Item, how: str) -> None:
        match how:
            case "complete":
                item.place, item.locked_until = "gone", None
            case "abandon":
                self.fail(item)
            case "release":
                self.unlock(item)
            case "defer":
                item.state, item.locked_until = "deferred", None
            case "dead_letter":
                self.bury(item, "Bad")

    def release_session(self, session_id: str) -> None:
        self.session(session_id).locked_until = None
        for item in self.items:
            if item.place == "queue" and item.session == session_id and self.is_locked(item):
                self.unlock(item)

    def renew_session(self, session_id: str) -> None:
        until = self.session(session_id).locked_until = self.now + self.lock_duration
        for item in self.items:
            if item.place == "queue" and item.session == session_id and self.is_locked(item):
                item.locked_until = until

    def restart(self) -> None:
        """Locks are over, uncounted."""
        for session in self.sessions.values():
            session.locked_until = None
        for item in self.items:
            if self.is_locked(item):
                self.unlock(item)
