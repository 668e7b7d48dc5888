"""The instances that a host owns on a SQLite hub, with their messages, in memory."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass, field

from devhost.clock import Clock
from devhost.durable import sqlite_rows as rows
from devhost.durable.hub import Instance, Message


@dataclass(slots=True)
class Session:
    """One instance of this host."""

    instance: Instance
    revision: int
    mailbox: list[Message] = field(default_factory=list)
    """Messages that can be delivered now, oldest first; they stay until a commit consumes them."""
    seen: set[int] = field(default_factory=set)
    """The sequences of those messages."""
    taken: bool = False
    """Whether the engine has it."""


class Sessions:
    """A host's instances. What changes the file belongs into a transaction."""

    def __init__(self, database: sqlite3.Connection, owner: str, clock: Clock, ready: Callable[[str], None]) -> None:
        self._database = database
        self._owner = owner
        self._clock = clock
        self._ready = ready
        self._sessions: dict[str, Session] = {}

    def get(self, instance_id: str) -> Session | None:
        """An instance's session, if this host owns it."""
        return self._sessions.get(instance_id)

    def add(self, instance: Instance, revision: int) -> None:
        """An instance that has just been written as this host's."""
        self._sessions[instance.id] = Session(instance, revision)

    def forget(self, instance_id: str) -> None:
        """The instance is not this host's any more, as far as this host is concerned."""
        self._sessions.pop(instance_id, None)

    def clear(self) -> None:
        """Forget all."""
        self._sessions.clear()

    def claim(self, instance_id: str) -> Session | None:
        """Take an instance that nobody owns and that has messages."""
        claimed = rows.claim_instance(self._database, instance_id, self._owner)
        if claimed is None:
            return None
        mailbox = rows.waiting_messages(self._database, instance_id, self._clock.now())
        if not mailbox:
            rows.release_instance(self._database, instance_id, self._owner)
            return None
        session = self._sessions[instance_id] = Session(*claimed, mailbox, {message.sequence for message in mailbox})
        return session

    def give_up(self, instance_id: str) -> None:
        """Let an instance go."""
        self.forget(instance_id)
        rows.release_instance(self._database, instance_id, self._owner)

    def deliver(self, message: Message) -> None:
        """A message that can be delivered: into its instance's mailbox, or a reason to try for the instance."""
        session = self._sessions.get(message.instance_id)
        if session is not None:
            if message.sequence in session.seen:
                return
            session.mailbox.append(message)
            session.seen.add(message.sequence)
        self._ready(message.instance_id)

    def found(self, instance_id: str) -> None:
        """An instance that nobody owns has messages."""
        self._ready(instance_id)

    def share(self) -> None:
        """Another host has come: instances that are not being run are anybody's."""
        for instance_id in [key for key, session in self._sessions.items() if not session.taken]:
            self.give_up(instance_id)
            self._ready(instance_id)
