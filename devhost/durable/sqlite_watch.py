"""Sees what others do to a SQLite hub, what becomes due, and which hosts have died."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from devhost.clock import Clock
from devhost.durable import sqlite_hosts
from devhost.durable.hub import EventType, RuntimeStatus
from devhost.durable.sqlite_rows import MESSAGE_COLUMNS, message_from
from devhost.durable.sqlite_schema import to_moment, to_number
from devhost.durable.sqlite_sessions import Sessions
from devhost.durable.sqlite_writer import SqliteWriter

POLL_SECONDS = 0.025
"""How often this host looks whether another process has changed the file. A look costs two microseconds."""
_LOOKS_PER_LIFE_CHECK = 4
_log = logging.getLogger("devhost.durable")

_WAKES_SUSPENDED = (int(EventType.EXECUTION_RESUMED), int(EventType.EXECUTION_TERMINATED))


class Watch:
    """The eyes of one host on the hub's file."""

    def __init__(
        self,
        database: sqlite3.Connection,
        writer: SqliteWriter,
        clock: Clock,
        path: Path,
        host_id: str,
        sessions: Sessions,
        activities_waiting: Callable[[], None],
    ) -> None:
        self._database = database
        self._writer = writer
        self._clock = clock
        self._path = path
        self._host_id = host_id
        self._sessions = sessions
        self._activities_waiting = activities_waiting
        self._others: list[tuple[str, int]] = []
        self._high_sequence = 0
        self._next_due: datetime | None = None
        self._sleep: asyncio.Task[None] | None = None
        self._earlier = asyncio.Event()
        self._knows_timers = False
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def is_alone(self) -> bool:
        """Whether no other host shares the hub, as far as this one knows."""
        return not self._others

    @property
    def is_settled(self) -> bool:
        """Whether the clock knows for which timer this host waits: before that, a jump of it would miss the timer."""
        return self._knows_timers and not self._earlier.is_set()

    def start(self) -> None:
        """Take over from the dead, look at everything there is, and go on watching."""
        self._others = sqlite_hosts.others(self._database, self._host_id)
        self._bury()
        self._data_version = self._read_data_version()
        self.look()
        self._tasks = [asyncio.create_task(self._watch_others()), asyncio.create_task(self._watch_timers())]

    async def stop(self) -> None:
        """See no more."""
        tasks = [*self._tasks, *([self._sleep] if self._sleep else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._tasks = []

    def expect(self, due: datetime) -> None:
        """There is a new timer."""
        if self._next_due is None or due < self._next_due:
            self._earlier.set()

    # --- others -----------------------------------------------------------------------------------------------------

    async def _watch_others(self) -> None:
        looks = 0
        while True:
            await asyncio.sleep(POLL_SECONDS)
            looks += 1
            try:
                version = self._read_data_version()
                if version != self._data_version:
                    self._data_version = version
                    self._meet()
                    self.look()
                if self._others and looks % _LOOKS_PER_LIFE_CHECK == 0:
                    self._bury()
            except sqlite3.Error as error:
                _log.warning("The task hub cannot be read (%s); trying again.", error)
                await asyncio.sleep(1)

    def _meet(self) -> None:
        """See who is there; what this host has not begun is anybody's when it is not alone any more."""
        was_alone = self.is_alone
        self._others = sqlite_hosts.others(self._database, self._host_id)
        if was_alone and not self.is_alone:
            self._writer.run_now(self._sessions.share)

    def _read_data_version(self) -> int:
        return self._database.execute("PRAGMA data_version").fetchone()[0]

    def look(self) -> None:
        """Find what others have left: messages for our instances, instances and activities that are nobody's."""
        high = self._database.execute("SELECT max(sequence) FROM messages").fetchone()[0] or 0
        rows = self._database.execute(
            f"SELECT {MESSAGE_COLUMNS} FROM messages m JOIN instances i ON i.id = m.instance"
            " WHERE m.sequence > ? AND m.due IS NULL AND i.owner = ? ORDER BY m.sequence",
            (self._high_sequence, self._host_id),
        ).fetchall()
        self._high_sequence = max(high, self._high_sequence)
        for message in map(message_from, rows):
            self._sessions.deliver(message)
        free = self._database.execute(
            "SELECT DISTINCT m.instance FROM messages m JOIN instances i ON i.id = m.instance"
            " WHERE m.due IS NULL AND i.owner IS NULL AND (i.status <> ? OR m.type IN (?, ?))",
            (RuntimeStatus.SUSPENDED, *_WAKES_SUSPENDED),
        ).fetchall()
        for (instance_id,) in free:
            self._sessions.found(instance_id)
        if self._database.execute("SELECT EXISTS (SELECT 1 FROM activities WHERE owner IS NULL)").fetchone()[0]:
            self._activities_waiting()
        self._earlier.set()

    def _bury(self) -> None:
        """Free what dead hosts held. Their locks are gone, so they are dead for certain."""
        dead = [other for other in self._others if not sqlite_hosts.is_alive(self._path, *other)]
        if not dead:
            return

        def forget() -> None:
            for host_id, _ in dead:
                sqlite_hosts.forget(self._database, host_id)

        self._writer.run_now(forget)
        for host_id, _ in dead:
            sqlite_hosts.lock_path(self._path, host_id).unlink(missing_ok=True)
        self._others = [other for other in self._others if other not in dead]
        if self._tasks:
            self.look()

    # --- timers -----------------------------------------------------------------------------------------------------

    async def _watch_timers(self) -> None:
        while True:
            try:
                self._knows_timers = False
                self._earlier.clear()
                now = to_number(self._clock.now())
                self._find_due(now)
                row = self._database.execute("SELECT min(due) FROM messages WHERE due > ?", (now,)).fetchone()
                await self._wait_for(None if row[0] is None else to_moment(row[0]))
            except sqlite3.Error as error:
                _log.warning("The task hub's timers cannot be read (%s); trying again.", error)
                await asyncio.sleep(1)

    async def _wait_for(self, due: datetime | None) -> None:
        """Until that timer is due or there is an earlier one."""
        if due != self._next_due or self._sleep is None or self._sleep.done():
            former, self._next_due = self._sleep, due
            self._sleep = None if due is None else asyncio.create_task(self._clock.sleep_until(due))
            await asyncio.sleep(0)  # the clock learns of it before it forgets the former one
            if former is not None:
                former.cancel()
        self._knows_timers = True
        earlier = asyncio.create_task(self._earlier.wait())
        try:
            await asyncio.wait([earlier, *([self._sleep] if self._sleep else [])], return_when=asyncio.FIRST_COMPLETED)
        finally:
            earlier.cancel()

    def _find_due(self, now: int) -> None:
        rows = self._database.execute(
            f"SELECT {MESSAGE_COLUMNS}, i.owner FROM messages m JOIN instances i ON i.id = m.instance"
            " WHERE m.due IS NOT NULL AND m.due <= ? AND (i.owner = ? OR (i.owner IS NULL AND i.status <> ?))"
            " ORDER BY m.due, m.sequence",
            (now, self._host_id, RuntimeStatus.SUSPENDED),
        ).fetchall()
        for row in rows:
            if row[-1] is None:
                self._sessions.found(row[1])
            else:
                self._sessions.deliver(message_from(row[:-1]))
