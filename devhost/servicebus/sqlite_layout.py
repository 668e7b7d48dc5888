"""The layout of the bus's SQLite file: its tables, how it is opened, how a message is a row."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

from devhost.errors import DevhostError
from devhost.servicebus.brokered_message import BrokeredMessage
from devhost.servicebus.delivery import MessageState
from devhost.servicebus.message import Message

VERSION = 1

_SCHEMA = """
CREATE TABLE entities (
    id INTEGER PRIMARY KEY, parent INTEGER, description TEXT NOT NULL, created INTEGER NOT NULL,
    updated INTEGER NOT NULL
);
CREATE TABLE messages (
    id INTEGER PRIMARY KEY, queue INTEGER NOT NULL, number INTEGER NOT NULL, first_number INTEGER,
    enqueued INTEGER NOT NULL, expires INTEGER, scheduled INTEGER, delivery_count INTEGER NOT NULL,
    state INTEGER NOT NULL, dead_letter_source TEXT, hops INTEGER NOT NULL, payload BLOB NOT NULL
);
CREATE TABLE numbers (queue INTEGER PRIMARY KEY, last INTEGER NOT NULL);
CREATE TABLE sessions (
    queue INTEGER NOT NULL, id TEXT NOT NULL, state BLOB NOT NULL, updated INTEGER NOT NULL, PRIMARY KEY (queue, id)
) WITHOUT ROWID;
CREATE TABLE message_ids (
    queue INTEGER NOT NULL, id TEXT NOT NULL, moment INTEGER NOT NULL, PRIMARY KEY (queue, id)
) WITHOUT ROWID;
"""

DELETE_MESSAGE = "DELETE FROM messages WHERE id = ?"
PUT_MESSAGE = "INSERT OR REPLACE INTO messages VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"


class StoreError(DevhostError):
    """The file cannot be used."""


def connect(path: Path) -> sqlite3.Connection:
    """Open the file for this process alone, creating it and its folder if need be. Raises StoreError."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        database = sqlite3.connect(path, isolation_level=None, timeout=1, check_same_thread=False)
        try:
            # Nobody else may write beside the broker, whose memory is the truth; and commits are cheaper that way.
            database.execute("PRAGMA locking_mode = EXCLUSIVE")
            database.execute("PRAGMA journal_mode = WAL")
            database.execute("PRAGMA synchronous = NORMAL")
            database.execute("BEGIN EXCLUSIVE")
            _lay_out(database, path)
            database.execute("COMMIT")
        except BaseException:
            database.close()
            raise
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            raise StoreError(
                f"Another process has {path} open.",
                "Stop the bus that runs on it, or choose another file with --database.",
            ) from error
        raise StoreError(f"{path} cannot be opened ({error}).", "Choose a file that can be written.") from error
    except (sqlite3.DatabaseError, OSError) as error:
        raise StoreError(
            f"{path} cannot be used as the bus's database ({error}).",
            "Delete it if it is of no use any more (its messages are lost), or choose another with --database.",
        ) from error
    return database


def _lay_out(database: sqlite3.Connection, path: Path) -> None:
    version = database.execute("PRAGMA user_version").fetchone()[0]
    if version not in (0, VERSION):
        raise StoreError(
            f"{path} has layout {version}, and this bus reads layout {VERSION}.",
            "Delete the file (its messages are lost), or empty it with the version of devhost that wrote it.",
        )
    if version == 0:
        for statement in filter(str.strip, _SCHEMA.split(";")):
            database.execute(statement)
        database.execute(f"PRAGMA user_version = {VERSION}")


def to_row(message: BrokeredMessage) -> tuple[Any, ...]:
    """The columns of table messages."""
    return (
        message.row_id,
        message.queue_id,
        message.sequence_number,
        message.enqueued_sequence_number,
        message.enqueued_at,
        message.expires_at,
        message.scheduled_at,
        message.delivery_count,
        int(message.state),
        message.dead_letter_source,
        message.hops,
        message.message.payload,
    )


def from_row(row: tuple[Any, ...]) -> BrokeredMessage:
    """The message in these columns."""
    message = BrokeredMessage(row[0], Message(row[11]))
    (
        message.queue_id,
        message.sequence_number,
        message.enqueued_sequence_number,
        message.enqueued_at,
        message.expires_at,
        message.scheduled_at,
        message.delivery_count,
    ) = row[1:8]
    message.state = MessageState(row[8])
    message.dead_letter_source, message.hops = row[9:11]
    message.is_stored = True
    return message
