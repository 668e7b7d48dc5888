"""The SQLite hub's file: its tables, how it is opened, and how its columns are written.

WAL with synchronous=NORMAL: a commit is written to the operating system before it is reported, but the disk is synced
only at checkpoints. A kill -9 of any process loses nothing that was reported, as the written pages belong to the
kernel by then. A loss of power may lose the last transactions (never the file's consistency): a development tool does
not need to pay the fivefold price of a sync for each commit (36 against 175 microseconds on the machine this was
decided on).
"""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path

VERSION = 1
BUSY_SECONDS = 30
"""How long a transaction waits for another process's to end. Those last milliseconds."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS instances (
    id TEXT PRIMARY KEY, execution_id TEXT NOT NULL, name TEXT NOT NULL, version TEXT NOT NULL, status TEXT NOT NULL,
    created INTEGER NOT NULL, updated INTEGER NOT NULL, custom_status TEXT, generation INTEGER NOT NULL,
    owner TEXT, revision INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS instances_by_status ON instances (status);
CREATE TABLE IF NOT EXISTS payloads (id TEXT PRIMARY KEY, input TEXT, output TEXT);
CREATE TABLE IF NOT EXISTS history (
    instance TEXT NOT NULL, episode INTEGER NOT NULL, events TEXT NOT NULL, PRIMARY KEY (instance, episode)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS messages (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT, instance TEXT NOT NULL, execution_id TEXT, type INTEGER NOT NULL,
    key, due INTEGER, arrived INTEGER NOT NULL, event TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS messages_by_instance ON messages (instance);
CREATE INDEX IF NOT EXISTS messages_by_due ON messages (due) WHERE due IS NOT NULL;
CREATE INDEX IF NOT EXISTS messages_at_once ON messages (sequence) WHERE due IS NULL;
CREATE TABLE IF NOT EXISTS activities (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT, instance TEXT NOT NULL, execution_id TEXT NOT NULL,
    task_id INTEGER NOT NULL, name TEXT NOT NULL, input TEXT, owner TEXT
);
CREATE INDEX IF NOT EXISTS activities_unclaimed ON activities (sequence) WHERE owner IS NULL;
CREATE TABLE IF NOT EXISTS hosts (id TEXT PRIMARY KEY, process INTEGER NOT NULL) WITHOUT ROWID;
"""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class HubVersionError(Exception):
    """The file was written by another version of devhost."""


def connect(path: Path) -> sqlite3.Connection:
    """Open the hub's file, creating it and its folder if need be. Raises HubVersionError, sqlite3.Error."""
    path.parent.mkdir(parents=True, exist_ok=True)
    database = sqlite3.connect(path, isolation_level=None, timeout=BUSY_SECONDS, check_same_thread=False)
    database.execute("PRAGMA journal_mode = WAL")
    database.execute("PRAGMA synchronous = NORMAL")
    database.execute("PRAGMA wal_autocheckpoint = 0")  # checkpoints sync: they run beside the event loop
    database.execute("BEGIN IMMEDIATE")
    try:
        version = database.execute("PRAGMA user_version").fetchone()[0]
        if version not in (0, VERSION):
            raise HubVersionError(f"it has format {version}, and this devhost reads format {VERSION}")
        if version == 0:
            for statement in filter(str.strip, _SCHEMA.split(";")):
                database.execute(statement)
            database.execute(f"PRAGMA user_version = {VERSION}")
        database.execute("COMMIT")
    except BaseException:
        database.execute("ROLLBACK")
        database.close()
        raise
    return database


def to_number(moment: datetime) -> int:
    """A moment as microseconds since 1970."""
    return (moment - _EPOCH) // _MICROSECOND


def to_moment(number: int) -> datetime:
    """The moment that a number of microseconds means."""
    return _EPOCH + number * _MICROSECOND
