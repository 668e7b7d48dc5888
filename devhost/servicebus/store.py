"""What a broker asks of the place where it keeps what must survive, and the one that keeps nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from devhost.servicebus.brokered_message import BrokeredMessage
from devhost.servicebus.descriptions import Description

CallSoon = Callable[[Callable[[], None]], object]
"""Has a function called when the work at hand is done, as an event loop's call_soon does."""


@dataclass(slots=True)
class StoredEntity:
    """A queue, topic, subscription or rule. Moments in ms since 1970."""

    entity_id: int
    parent_id: int | None
    """Of a subscription its topic, of a rule its subscription."""
    description: Description
    created_at: int
    updated_at: int


@dataclass(slots=True)
class StoredSession:
    """A session's state."""

    queue_id: int
    session_id: str
    state: bytes
    updated_at: int


@dataclass(slots=True)
class StoredState:
    """Everything that has survived."""

    entities: list[StoredEntity] = field(default_factory=list)
    """Parents before their children."""
    messages: list[BrokeredMessage] = field(default_factory=list)
    """By their row ids."""
    numbers: dict[int, int] = field(default_factory=dict)
    """The last sequence number by queue id."""
    sessions: list[StoredSession] = field(default_factory=list)
    message_ids: list[tuple[int, str, int]] = field(default_factory=list)
    """The duplicate detection history: queue id, message id, moment; by moment."""


class Store(Protocol):
    """Where a broker keeps what must survive. Changes are on disk when a later `when_committed` calls back."""

    has_changes: bool
    """Whether something is not on disk yet."""

    def load(self) -> StoredState:
        """What has survived. Called once, before anything else."""

    def start(self, call_soon: CallSoon | None, retry: CallSoon) -> None:
        """Commit by way of `call_soon`, once for all changes until then; None: whenever somebody waits for it.

        `retry` has a commit that failed called again in a while.
        """

    def save_entity(self, entity: StoredEntity) -> None:
        """A new or changed entity."""

    def remove_entity(self, entity_id: int) -> None:
        """Without its children: those are removed one by one."""

    def put(self, message: BrokeredMessage) -> None:
        """A new or changed message. It is written as it looks when the commit comes."""

    def remove(self, message: BrokeredMessage) -> None:
        """A message that is done with."""

    def remove_messages(self, queue_id: int) -> None:
        """All messages of a queue."""

    def save_number(self, queue_id: int, number: int) -> None:
        """The last sequence number given."""

    def remove_number(self, queue_id: int) -> None:
        """A queue that is no more."""

    def save_session(self, session: StoredSession) -> None:
        """A session's state."""

    def remove_session(self, queue_id: int, session_id: str) -> None:
        """A session has no state any more."""

    def save_message_id(self, queue_id: int, message_id: str, moment: int) -> None:
        """For duplicate detection."""

    def remove_message_id(self, queue_id: int, message_id: str) -> None:
        """Its window is over."""

    def when_committed(self, callback: Callable[[], None]) -> None:
        """Call back when everything done so far is on disk; at once when it is."""

    def close(self) -> None:
        """Commit what there is, and let go."""


class MemoryStore:
    """Keeps nothing: what the broker holds in memory is all there is."""

    has_changes = False

    def load(self) -> StoredState:
        """Nothing has survived."""
        return StoredState()

    def start(self, call_soon: CallSoon | None, retry: CallSoon) -> None:
        """There is nothing to commit."""

    def save_entity(self, entity: StoredEntity) -> None:
        """Not kept."""

    def remove_entity(self, entity_id: int) -> None:
        """Not kept."""

    def put(self, message: BrokeredMessage) -> None:
        """Not kept."""

    def remove(self, message: BrokeredMessage) -> None:
        """Not kept."""

    def remove_messages(self, queue_id: int) -> None:
        """Not kept."""

    def save_number(self, queue_id: int, number: int) -> None:
        """Not kept."""

    def remove_number(self, queue_id: int) -> None:
        """Not kept."""

    def save_session(self, session: StoredSession) -> None:
        """Not kept."""

    def remove_session(self, queue_id: int, session_id: str) -> None:
        """Not kept."""

    def save_message_id(self, queue_id: int, message_id: str, moment: int) -> None:
        """Not kept."""

    def remove_message_id(self, queue_id: int, message_id: str) -> None:
        """Not kept."""

    def when_committed(self, callback: Callable[[], None]) -> None:
        """At once."""
        callback()

    def close(self) -> None:
        """Nothing to let go."""
