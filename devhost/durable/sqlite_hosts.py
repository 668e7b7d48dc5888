"""Which hosts live on one SQLite hub: each holds a file lock that the kernel drops the moment its process ends."""

from __future__ import annotations

import fcntl
import os
import sqlite3
from pathlib import Path
from uuid import uuid4


class HostLock:
    """This host's sign of life."""

    def __init__(self, hub: Path) -> None:
        self.id = uuid4().hex
        self._path = lock_path(hub, self.id)
        self._descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def release(self, *, leave_file: bool = False) -> None:
        """Give up the lock. `leave_file`: as the kernel does for a process that was killed."""
        if not leave_file:
            self._path.unlink(missing_ok=True)
        os.close(self._descriptor)


def lock_path(hub: Path, host_id: str) -> Path:
    """The file whose lock a host holds."""
    return hub.with_name(f"{hub.name}-host-{host_id}")


def is_alive(hub: Path, host_id: str, process: int) -> bool:
    """Whether a host still runs. Both signs must be there: a forked child may hold the lock of its dead parent."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    try:
        descriptor = os.open(lock_path(hub, host_id), os.O_RDWR)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def register(database: sqlite3.Connection, host_id: str) -> None:
    """Make the host known, after it holds its lock. Belongs into a transaction."""
    database.execute("INSERT INTO hosts (id, process) VALUES (?, ?)", (host_id, os.getpid()))


def forget(database: sqlite3.Connection, host_id: str) -> None:
    """Free everything that a host owns, and the host. Belongs into a transaction."""
    database.execute("UPDATE instances SET owner = NULL WHERE owner = ?", (host_id,))
    database.execute("UPDATE activities SET owner = NULL WHERE owner = ?", (host_id,))
    database.execute("DELETE FROM hosts WHERE id = ?", (host_id,))


def others(database: sqlite3.Connection, own_id: str) -> list[tuple[str, int]]:
    """Ids and process numbers of the hub's other hosts."""
    return database.execute("SELECT id, process FROM hosts WHERE id <> ?", (own_id,)).fetchall()
