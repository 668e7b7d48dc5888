"""Keeps what must survive in one SQLite file, and commits the changes of many operations together.

WAL with synchronous=NORMAL: a commit is with the operating system before it is reported, the disk is synced only at
checkpoints. A kill -9 loses nothing that was acknowledged; a loss of power may lose the last commits, never the file's
consistency. What changes is noted by row and written as it looks when the commit comes: a message that came and went
between two commits costs nothing. A commit of one row, as each awaited send needs it, is one statement to one page.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable
from pathlib import Path

from devhost.servicebus import sqlite_layout
from devhost.servicebus.brokered_message import BrokeredMessage
from devhost.servicebus.description_json import from_json, to_json
from devhost.servicebus.sqlite_layout import from_row, to_row
from devhost.servicebus.store import CallSoon, StoredEntity, StoredSession, StoredState

_log = logging.getLogger("devhost.servicebus")

_NUMBERS_AT_ONCE = 100
"""So many sequence numbers are written off in one go; a kill leaves a gap of less than that, as the cloud has gaps."""


class SqliteStore:
    """The only one that has the file open."""

    def __init__(self, path: Path) -> None:
        """Open the file, creating it and its folder if need be. Raises StoreError with a remedy."""
        self._database = sqlite_layout.connect(path)
        self._call_soon: CallSoon | None = None
        self._retry: CallSoon = lambda commit: None
        self.has_changes = False
        self._is_failing = False
        self._callbacks: list[Callable[[], None]] = []
        self._messages: dict[int, BrokeredMessage] = {}
        self._gone: dict[int, tuple[int]] = {}
        self._numbers: dict[int, int] = {}
        """The last ones given, by queue; what is on disk is no less."""
        self._written_off: dict[int, int] = {}
        self._statements: list[tuple[str, tuple[object, ...]]] = []
        """Everything that is rare, in its order; carried out before the messages are written."""

    def load(self) -> StoredState:
        """What has survived."""
        rows = self._database.execute
        self._written_off = dict(rows("SELECT * FROM numbers"))
        return StoredState(
            entities=[
                StoredEntity(entity_id, parent_id, from_json(text), created_at, updated_at)
                for entity_id, parent_id, text, created_at, updated_at in rows("SELECT * FROM entities ORDER BY id")
            ],
            messages=[from_row(row) for row in rows("SELECT * FROM messages ORDER BY id")],
            numbers=dict(self._written_off),
            sessions=[StoredSession(*row) for row in rows("SELECT * FROM sessions")],
            message_ids=list(rows("SELECT queue, id, moment FROM message_ids ORDER BY moment")),
        )

    def start(self, call_soon: CallSoon | None, retry: CallSoon) -> None:
        """Commit by way of `call_soon`, once for all changes until then; None: whenever somebody waits for it.

        `retry` has a commit that failed called again in a while.
        """
        self._call_soon = call_soon
        self._retry = retry

    # --- changes ----------------------------------------------------------------------------------------------------

    def put(self, message: BrokeredMessage) -> None:
        """A new or changed message. It is written as it looks when the commit comes."""
        self._messages[message.row_id] = message
        if not self.has_changes:
            self._request_commit()

    def remove(self, message: BrokeredMessage) -> None:
        """A message that is done with."""
        row_id = message.row_id
        self._messages.pop(row_id, None)
        if message.is_stored:
            self._gone[row_id] = (row_id,)
        if not self.has_changes:
            self._request_commit()

    def save_number(self, queue_id: int, number: int) -> None:
        """The last sequence number given."""
        self._numbers[queue_id] = number
        if number > self._written_off.get(queue_id, 0):
            self._write_off(queue_id, number + _NUMBERS_AT_ONCE - 1)

    def remove_messages(self, queue_id: int) -> None:
        """All messages of a queue."""
        for message in [message for message in self._messages.values() if message.queue_id == queue_id]:
            self.remove(message)  # its row, if it has one, may still be another queue's
        self._change("DELETE FROM messages WHERE queue = ?", queue_id)

    def save_entity(self, entity: StoredEntity) -> None:
        """A new or changed entity."""
        text = to_json(entity.description)
        values = (entity.entity_id, entity.parent_id, text, entity.created_at, entity.updated_at)
        self._change("INSERT OR REPLACE INTO entities VALUES (?, ?, ?, ?, ?)", *values)

    def remove_entity(self, entity_id: int) -> None:
        """Without its children: those are removed one by one."""
        self._change("DELETE FROM entities WHERE id = ?", entity_id)

    def remove_number(self, queue_id: int) -> None:
        """A queue that is no more."""
        self._numbers.pop(queue_id, None)
        self._written_off.pop(queue_id, None)
        self._change("DELETE FROM numbers WHERE queue = ?", queue_id)

    def save_session(self, session: StoredSession) -> None:
        """A session's state."""
        values = (session.queue_id, session.session_id, session.state, session.updated_at)
        self._change("INSERT OR REPLACE INTO sessions VALUES (?, ?, ?, ?)", *values)

    def remove_session(self, queue_id: int, session_id: str) -> None:
        """A session has no state any more."""
        self._change("DELETE FROM sessions WHERE queue = ? AND id = ?", queue_id, session_id)

    def save_message_id(self, queue_id: int, message_id: str, moment: int) -> None:
        """For duplicate detection."""
        self._change("INSERT OR REPLACE INTO message_ids VALUES (?, ?, ?)", queue_id, message_id, moment)

    def remove_message_id(self, queue_id: int, message_id: str) -> None:
        """Its window is over."""
        self._change("DELETE FROM message_ids WHERE queue = ? AND id = ?", queue_id, message_id)

    # --- commit -----------------------------------------------------------------------------------------------------

    def when_committed(self, callback: Callable[[], None]) -> None:
        """Call back when everything done so far is on disk; at once when it is."""
        if not self.has_changes:
            callback()
            return
        self._callbacks.append(callback)
        if self._call_soon is None:
            self._commit()

    def close(self) -> None:
        """Commit what there is, and let go of the file."""
        for queue_id, number in self._numbers.items():
            self._write_off(queue_id, number)
        self._commit()
        self._database.close()

    def _write_off(self, queue_id: int, number: int) -> None:
        self._written_off[queue_id] = number
        self._change("INSERT OR REPLACE INTO numbers VALUES (?, ?)", queue_id, number)

    def _change(self, statement: str, *values: object) -> None:
        self._statements.append((statement, values))
        if not self.has_changes:
            self._request_commit()

    def _request_commit(self) -> None:
        self.has_changes = True
        if self._call_soon is not None:
            self._call_soon(self._commit)

    def _commit(self) -> None:
        if not self.has_changes:
            return
        messages = list(self._messages.values())
        try:
            self._write(messages)
        except sqlite3.Error as error:
            if self._database.in_transaction:
                self._database.execute("ROLLBACK")
            if not self._is_failing:
                _log.error("Nothing can be written to the bus's database (%s), so nothing is acknowledged.", error)
            self._is_failing = True
            self._retry(self._commit)
            return
        if self._is_failing:
            self._is_failing = False
            _log.warning("The bus's database can be written again.")
        for message in messages:
            message.is_stored = True
        self._messages.clear()
        self._gone.clear()
        self._statements.clear()
        self.has_changes = False
        callbacks, self._callbacks = self._callbacks, []
        for callback in callbacks:
            callback()

    def _write(self, messages: list[BrokeredMessage]) -> None:
        database, gone = self._database, list(self._gone.values())
        if not self._statements and len(messages) + len(gone) == 1:
            if messages:
                database.execute(sqlite_layout.PUT_MESSAGE, to_row(messages[0]))
            else:
                database.execute(sqlite_layout.DELETE_MESSAGE, gone[0])
            return
        database.execute("BEGIN IMMEDIATE")
        for statement, values in self._statements:
            database.execute(statement, values)
        database.executemany(sqlite_layout.PUT_MESSAGE, map(to_row, messages))
        database.executemany(sqlite_layout.DELETE_MESSAGE, gone)
        database.execute("COMMIT")
