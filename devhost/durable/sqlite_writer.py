"""Groups the changes of many tasks into one SQLite transaction.

Transactions run on the event loop, not in a thread: one costs some tens of microseconds, less than handing it to a
thread and back, and with orchestrators keeping the interpreter busy a thread would wait its turn for it at every
statement.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

Result = TypeVar("Result")
Operation = Callable[[], Any]

_CHECKPOINT_TRANSACTIONS = 500
_LONG_WAL_FRAMES = 4000
"""A frame holds a page of 4 KiB."""
_log = logging.getLogger("devhost.durable")


class SqliteWriter:
    """The only way to write to a hub's file."""

    def __init__(self, database: sqlite3.Connection, path: Path, on_failure: Callable[[], None]) -> None:
        """`on_failure` is called when a transaction was rolled back after its operations had run."""
        self._on_failure = on_failure
        self._database = database
        self._path = path
        self._waiting: list[tuple[Operation, asyncio.Future[Any]]] = []
        self._transactions = 0
        self._checkpoint: asyncio.Future[None] | None = None

    async def run(self, operation: Callable[[], Result]) -> Result:
        """Run `operation` in the next transaction and return its result once that is committed.

        An operation that raises must have changed nothing before; others in its transaction are not touched by it.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Result] = loop.create_future()
        self._waiting.append((operation, future))
        if len(self._waiting) == 1:
            loop.call_soon(self._flush)
        return await future

    def run_now(self, operation: Callable[[], Result]) -> Result:
        """Run `operation` in a transaction of its own, at once."""
        self._database.execute("BEGIN IMMEDIATE")
        try:
            result = operation()
            self._database.execute("COMMIT")
        except BaseException:
            if self._database.in_transaction:
                self._database.execute("ROLLBACK")
            raise
        return result

    async def close(self) -> None:
        """Write what is waiting and end a running checkpoint."""
        self._flush()
        if self._checkpoint is not None:
            await asyncio.wait([self._checkpoint])

    def _flush(self) -> None:
        waiting, self._waiting = self._waiting, []
        if not waiting:
            return
        done: list[tuple[asyncio.Future[Any], Any, Exception | None]] = []
        try:
            self._database.execute("BEGIN IMMEDIATE")
            try:
                for operation, future in waiting:
                    try:
                        done.append((future, operation(), None))
                    except sqlite3.Error:
                        raise
                    except Exception as error:
                        done.append((future, None, error))
                self._database.execute("COMMIT")
            except BaseException:
                if self._database.in_transaction:
                    self._database.execute("ROLLBACK")
                raise
        except sqlite3.Error as error:
            self._on_failure()
            done = [(future, None, error) for _, future in waiting]
        for future, result, error in done:
            if future.cancelled():
                continue
            if error is None:
                future.set_result(result)
            else:
                future.set_exception(error)
        self._transactions += 1
        if self._transactions >= _CHECKPOINT_TRANSACTIONS and self._checkpoint is None:
            self._transactions = 0
            self._checkpoint = asyncio.get_running_loop().run_in_executor(None, _checkpoint, self._path)
            self._checkpoint.add_done_callback(self._checkpointed)

    def _checkpointed(self, checkpoint: asyncio.Future[None]) -> None:
        self._checkpoint = None
        if not checkpoint.cancelled() and checkpoint.exception() is not None:
            _log.warning("The task hub could not be checkpointed (%s); its WAL file grows.", checkpoint.exception())


def _checkpoint(path: Path) -> None:
    """Bring the WAL's content into the database file, and sync both. Runs in a thread.

    While others write, the WAL only grows; when it has become long it is begun anew, which makes writers wait a moment.
    """
    database = sqlite3.connect(path)
    try:
        database.execute("PRAGMA synchronous = NORMAL")
        _, frames, _ = database.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        if frames > _LONG_WAL_FRAMES:
            database.execute("PRAGMA wal_checkpoint(RESTART)")
    finally:
        database.close()
