"""The SQLite task hub: one file, an episode is one transaction, several hosts may share it."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import Callable, Collection, Iterable, Sequence
from datetime import timedelta
from pathlib import Path

from devhost.clock import Clock
from devhost.durable import sqlite_hosts, sqlite_queries
from devhost.durable import sqlite_rows as rows
from devhost.durable.hub import (
    UNCHANGED,
    Activity,
    Commit,
    EventType,
    Instance,
    InstanceExistsError,
    InstanceQuery,
    InstanceView,
    Message,
    OwnershipLostError,
    RuntimeStatus,
    Work,
)
from devhost.durable.sqlite_schema import connect, to_number
from devhost.durable.sqlite_sessions import Sessions
from devhost.durable.sqlite_watch import Watch
from devhost.durable.sqlite_writer import SqliteWriter

_EARLY_ANSWER_DELAY = timedelta(seconds=1)
_RECOVERY_SECONDS = 1.0


class SqliteTaskHub:
    """See TaskHub.

    An instance is one host's (column `owner`) while that host has work of it; other hosts leave it alone. A commit is
    guarded by owner and revision, so a host that was taken for dead can do no harm. What this host owns it also keeps
    in memory, so that the file is read only for what comes from outside; operations change that memory while their
    transaction runs, and a transaction that fails makes the hub forget all of it.
    """

    def __init__(self, path: Path, clock: Clock) -> None:
        self._path = path
        self._clock = clock
        self._ready: Callable[[str], None] = lambda instance_id: None
        self._activities_waiting: Callable[[], None] = lambda: None
        self._database: sqlite3.Connection | None = None

    # --- life -------------------------------------------------------------------------------------------------------

    async def start(self, ready: Callable[[str], None], activities_waiting: Callable[[], None]) -> None:
        """See TaskHub. Raises HubVersionError or sqlite3.Error when the file cannot be used."""
        self._ready, self._activities_waiting = ready, activities_waiting
        self._database = connect(self._path)
        self._lock = sqlite_hosts.HostLock(self._path)
        self._sessions = Sessions(self._database, self._lock.id, self._clock, ready)
        self._writer = SqliteWriter(self._database, self._path, self._recover)
        self._writer.run_now(lambda: sqlite_hosts.register(self._database, self._lock.id))
        self._watch = Watch(
            self._database, self._writer, self._clock, self._path, self._lock.id, self._sessions, activities_waiting
        )
        self._watch.start()

    async def close(self) -> None:
        """See TaskHub."""
        await self._watch.stop()
        await self._writer.close()
        with contextlib.suppress(sqlite3.Error):  # the next host finds out by the lock
            self._writer.run_now(lambda: sqlite_hosts.forget(self._database, self._lock.id))
        self._sessions.clear()
        self._database.close()
        self._lock.release()

    async def crash(self) -> None:
        """For tests: leave everything as a kill -9 at this instant would."""
        await self._watch.stop()
        if self._database.in_transaction:
            self._database.execute("ROLLBACK")
        self._database.close()
        self._lock.release(leave_file=True)

    def _recover(self) -> None:
        """A transaction failed (a full disk?): what is in memory may be wrong, so begin again from the file."""
        self._sessions.clear()

        def give_up() -> None:
            self._database.execute("UPDATE instances SET owner = NULL WHERE owner = ?", (self._lock.id,))

        def look_again() -> None:
            try:
                self._writer.run_now(give_up)
                self._watch.look()
            except sqlite3.Error:
                loop.call_later(_RECOVERY_SECONDS, look_again)

        loop = asyncio.get_running_loop()
        loop.call_soon(look_again)

    # --- orchestrations and entities --------------------------------------------------------------------------------

    async def fetch(self, instance_id: str, known_revision: int | None) -> Work | None:
        """See TaskHub."""
        session = self._sessions.get(instance_id)
        if session is None:
            session = await self._writer.run(lambda: self._sessions.claim(instance_id))
        if session is None or session.taken or not session.mailbox:
            return None
        session.taken = True
        history = input = None
        if session.revision != known_revision:
            history = sqlite_queries.history(self._database, instance_id)
            row = self._database.execute("SELECT input FROM payloads WHERE id = ?", (instance_id,)).fetchone()
            input = row[0] if row else None
        return Work(session.instance, list(session.mailbox), session.revision, history, input)

    async def commit(self, work: Work, commit: Commit, capacity: int) -> list[Activity]:
        """See TaskHub."""
        return await self._writer.run(lambda: self._commit(work, commit, capacity))

    async def release(self, work: Work) -> None:
        """See TaskHub."""
        await self._writer.run(lambda: self._sessions.give_up(work.instance.id))

    def _commit(self, work: Work, commit: Commit, capacity: int) -> list[Activity]:
        instance, database = commit.instance, self._database
        session = self._sessions.get(instance.id)
        if session is None:
            raise OwnershipLostError
        gone = {message.sequence for message in (*commit.consumed, *commit.deferred)}
        rest = [message for message in session.mailbox if message.sequence not in gone]
        comes_again = commit.keep or rest or any(m.instance_id == instance.id and not m.due for m in commit.messages)
        owner = self._lock.id if comes_again and not instance.status.is_final else None
        if not rows.update_instance(database, instance, self._lock.id, work.revision, owner):
            if session.revision == work.revision:
                self._sessions.forget(instance.id)
            raise OwnershipLostError
        revision = work.revision + 1
        rows.write_history(database, instance.id, revision, commit.events, restart=commit.restart)
        rows.delete_messages(database, commit.consumed)
        rows.write_payloads(database, instance.id, commit.input, commit.output)
        work.revision = revision
        session.instance, session.revision, session.mailbox, session.taken = instance, revision, rest, False
        session.seen -= gone
        if owner is None:
            self._sessions.forget(instance.id)
        for message in commit.messages:
            self._send(message)
        self._defer(commit.deferred)
        for index, activity in enumerate(commit.activities):
            rows.insert_activity(database, activity, self._lock.id if index < capacity else None)
        if len(commit.activities) > capacity:
            self._activities_waiting()
        if rest:
            self._ready(instance.id)
        return commit.activities[:capacity]

    def _defer(self, messages: Iterable[Message]) -> None:
        due = self._clock.now() + _EARLY_ANSWER_DELAY
        for message in messages:
            rows.delay_message(self._database, message, due)
            self._watch.expect(due)

    # --- activities -------------------------------------------------------------------------------------------------

    async def claim_activities(self, limit: int) -> list[Activity]:
        """See TaskHub."""
        return await self._writer.run(lambda: rows.claim_activities(self._database, self._lock.id, limit))

    async def complete_activity(self, activity: Activity, answer: Message) -> None:
        """See TaskHub."""
        await self._writer.run(lambda: self._complete(activity, answer))

    async def release_activity(self, activity: Activity) -> None:
        """See TaskHub."""
        await self._writer.run(lambda: rows.release_activity(self._database, activity, self._lock.id))

    def _complete(self, activity: Activity, answer: Message) -> None:
        if not rows.delete_activity(self._database, activity, self._lock.id):
            raise OwnershipLostError
        self._send(answer)

    # --- messages ---------------------------------------------------------------------------------------------------

    async def send(self, message: Message) -> bool:
        """See TaskHub."""
        return await self._writer.run(lambda: self._send(message))

    def _send(self, message: Message) -> bool:
        now = self._clock.now()
        if not rows.insert_message(self._database, message, now):
            new = rows.instance_for(message, now)
            if new is None:
                return False
            instance, input = new
            self._insert_instance(instance)
            rows.write_payloads(self._database, instance.id, input, UNCHANGED)
            rows.insert_message(self._database, message, now)
        if message.due is not None and message.due > now:
            self._watch.expect(message.due)
        else:
            self._sessions.deliver(message)
        return True

    # --- clients ----------------------------------------------------------------------------------------------------

    async def create(
        self, instance: Instance, start: Message, input: str | None, blocking: Collection[RuntimeStatus]
    ) -> None:
        """See TaskHub."""
        await self._writer.run(lambda: self._create(instance, start, input, blocking))

    def _create(
        self, instance: Instance, start: Message, input: str | None, blocking: Collection[RuntimeStatus]
    ) -> None:
        row = self._database.execute("SELECT status, generation FROM instances WHERE id = ?", (instance.id,)).fetchone()
        if row is not None:
            if RuntimeStatus(row[0]) in blocking:
                raise InstanceExistsError(instance.id, RuntimeStatus(row[0]))
            instance.generation = row[1] + 1
            for table in ("history", "messages"):
                self._database.execute(f"DELETE FROM {table} WHERE instance = ?", (instance.id,))
            self._sessions.forget(instance.id)
        self._insert_instance(instance)
        rows.write_payloads(self._database, instance.id, input, None)
        self._send(start)

    def _insert_instance(self, instance: Instance) -> None:
        """A new instance is ours at once when nobody else is there to take it."""
        owner = self._lock.id if self._watch.is_alone else None
        revision = rows.insert_instance(self._database, instance, owner)
        if owner is not None:
            self._sessions.add(instance, revision)

    async def get(self, instance_id: str) -> InstanceView | None:
        """See TaskHub."""
        return sqlite_queries.view(self._database, instance_id)

    async def query(self, query: InstanceQuery) -> list[InstanceView]:
        """See TaskHub."""
        return sqlite_queries.query(self._database, query)

    async def history(self, instance_id: str) -> list[str]:
        """See TaskHub."""
        return sqlite_queries.split(sqlite_queries.history(self._database, instance_id))

    async def purge(self, instance_ids: Sequence[str]) -> int:
        """See TaskHub."""
        return await self._writer.run(lambda: self._purge(instance_ids))

    def _purge(self, instance_ids: Sequence[str]) -> int:
        for instance_id in instance_ids:
            self._sessions.forget(instance_id)
        return sqlite_queries.purge(self._database, instance_ids)

    async def rewrite(self, instance: Instance, history: Sequence[str], messages: Sequence[Message]) -> bool:
        """See TaskHub."""
        return await self._writer.run(lambda: self._rewrite(instance, history, messages))

    def _rewrite(self, instance: Instance, history: Sequence[str], messages: Sequence[Message]) -> bool:
        row = self._database.execute("SELECT status FROM instances WHERE id = ?", (instance.id,)).fetchone()
        if row is None or row[0] != RuntimeStatus.FAILED:
            return False
        self._sessions.forget(instance.id)
        rows.insert_instance(self._database, instance, None)
        rows.write_payloads(self._database, instance.id, UNCHANGED, None)
        rows.write_history(self._database, instance.id, 0, history, restart=True)
        for message in messages:
            self._send(message)
        return True

    async def is_idle(self) -> bool:
        """See TaskHub."""
        waiting = self._database.execute(
            "SELECT EXISTS (SELECT 1 FROM activities) OR EXISTS (SELECT 1 FROM messages m JOIN instances i"
            " ON i.id = m.instance WHERE m.arrived <= ? AND (i.status <> ? OR m.type IN (?, ?)))",
            (to_number(self._clock.now()), RuntimeStatus.SUSPENDED,
             int(EventType.EXECUTION_RESUMED), int(EventType.EXECUTION_TERMINATED)),
        ).fetchone()  # fmt: skip
        return not waiting[0] and self._watch.is_settled
