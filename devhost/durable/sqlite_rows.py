"""Rows of the SQLite hub and what they stand for."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from devhost.durable.hub import Activity, EventType, Instance, Message, RuntimeStatus, Unchanged
from devhost.durable.sqlite_schema import to_moment, to_number

INSTANCE_COLUMNS = "id, execution_id, name, version, status, created, updated, custom_status, generation"
MESSAGE_COLUMNS = "m.sequence, m.instance, m.execution_id, m.type, m.key, m.due, m.event"
ACTIVITY_COLUMNS = "sequence, instance, execution_id, task_id, name, input"


def instance_from(row: tuple[Any, ...]) -> Instance:
    """An instance from its INSTANCE_COLUMNS."""
    identifier, execution_id, name, version, status, created, updated, custom_status, generation = row
    return Instance(
        identifier, execution_id, name, version, RuntimeStatus(status), to_moment(created), to_moment(updated),
        custom_status, generation,
    )  # fmt: skip


def message_from(row: tuple[Any, ...]) -> Message:
    """A message from its MESSAGE_COLUMNS."""
    sequence, instance_id, execution_id, kind, key, due, text = row
    moment = None if due is None else to_moment(due)
    return Message(instance_id, EventType(kind), text, key, execution_id, moment, sequence)


def activity_from(row: tuple[Any, ...]) -> Activity:
    """An activity from its ACTIVITY_COLUMNS."""
    sequence, instance_id, execution_id, task_id, name, input = row
    return Activity(instance_id, execution_id, task_id, name, input, sequence)


def new_revision() -> int:
    """A revision that no earlier instance of the same id has had."""
    return time.time_ns()


def insert_instance(database: sqlite3.Connection, instance: Instance, owner: str | None) -> int:
    """Write an instance's row, or replace the one there is; returns its revision."""
    revision = new_revision()
    database.execute(
        "INSERT INTO instances (id, execution_id, name, version, status, created, updated, custom_status, generation,"
        " owner, revision) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET"
        " execution_id = excluded.execution_id, name = excluded.name, version = excluded.version,"
        " status = excluded.status, created = excluded.created, updated = excluded.updated,"
        " custom_status = excluded.custom_status, generation = excluded.generation, owner = excluded.owner,"
        " revision = excluded.revision",
        (instance.id, instance.execution_id, instance.name, instance.version, instance.status.value,
         to_number(instance.created), to_number(instance.updated), instance.custom_status, instance.generation,
         owner, revision),
    )  # fmt: skip
    return revision


def claim_instance(database: sqlite3.Connection, instance_id: str, owner: str) -> tuple[Instance, int] | None:
    """Take an instance that is nobody's, or `owner`'s already; returns it with its revision."""
    row = database.execute(
        "UPDATE instances SET owner = ? WHERE id = ? AND (owner IS NULL OR owner = ?)"
        f" RETURNING {INSTANCE_COLUMNS}, revision",
        (owner, instance_id, owner),
    ).fetchone()
    return None if row is None else (instance_from(row[:-1]), row[-1])


def release_instance(database: sqlite3.Connection, instance_id: str, owner: str) -> None:
    """Make an instance nobody's."""
    database.execute("UPDATE instances SET owner = NULL WHERE id = ? AND owner = ?", (instance_id, owner))


def update_instance(
    database: sqlite3.Connection, instance: Instance, owner: str, revision: int, new_owner: str | None
) -> bool:
    """Write an instance's row if it is still `owner`'s and at `revision`; its revision grows."""
    return (
        database.execute(
            "UPDATE instances SET execution_id = ?, name = ?, version = ?, status = ?, created = ?, updated = ?,"
            " custom_status = ?, generation = ?, owner = ?, revision = revision + 1"
            " WHERE id = ? AND owner = ? AND revision = ?",
            (instance.execution_id, instance.name, instance.version, instance.status.value,
             to_number(instance.created), to_number(instance.updated), instance.custom_status, instance.generation,
             new_owner, instance.id, owner, revision),
        ).rowcount
        == 1
    )  # fmt: skip


def insert_message(database: sqlite3.Connection, message: Message, now: datetime) -> bool:
    """Write a message and give it its sequence; False when its instance does not exist."""
    due = None if message.due is None else to_number(message.due)
    cursor = database.execute(
        "INSERT INTO messages (instance, execution_id, type, key, due, arrived, event) SELECT ?, ?, ?, ?, ?, ?, ?"
        " WHERE EXISTS (SELECT 1 FROM instances WHERE id = ?)",
        (message.instance_id, message.execution_id, int(message.type), message.key, due,
         to_number(now) if due is None else due, message.text, message.instance_id),
    )  # fmt: skip
    if cursor.rowcount != 1:
        return False
    message.sequence = cursor.lastrowid
    return True


def waiting_messages(database: sqlite3.Connection, instance_id: str, now: datetime) -> list[Message]:
    """An instance's messages that can be delivered, in the order in which they came or became due."""
    found = database.execute(
        f"SELECT {MESSAGE_COLUMNS} FROM messages m WHERE instance = ? AND arrived <= ? ORDER BY arrived, sequence",
        (instance_id, to_number(now)),
    )
    return [message_from(row) for row in found]


def delay_message(database: sqlite3.Connection, message: Message, due: datetime) -> None:
    """Deliver a message later."""
    database.execute(
        "UPDATE messages SET due = ?, arrived = ? WHERE sequence = ?",
        (to_number(due), to_number(due), message.sequence),
    )


def delete_messages(database: sqlite3.Connection, messages: Sequence[Message]) -> None:
    """Forget messages."""
    database.executemany("DELETE FROM messages WHERE sequence = ?", [(message.sequence,) for message in messages])


def write_history(
    database: sqlite3.Connection, instance_id: str, episode: int, events: Sequence[str], *, restart: bool
) -> None:
    """Append an episode's events, one row for all of them; `episode` grows from one to the next."""
    if restart:
        database.execute("DELETE FROM history WHERE instance = ?", (instance_id,))
    if events:
        database.execute(
            "INSERT INTO history (instance, episode, events) VALUES (?, ?, ?)", (instance_id, episode, ",".join(events))
        )


def write_payloads(
    database: sqlite3.Connection, instance_id: str, input: str | None | Unchanged, output: str | None | Unchanged
) -> None:
    """Set an instance's input or output, or both. They may be large, and so have a table of their own."""
    columns = [
        (column, value) for column, value in (("input", input), ("output", output)) if not isinstance(value, Unchanged)
    ]
    if columns:
        names = ", ".join(column for column, _ in columns)
        updates = ", ".join(f"{column} = excluded.{column}" for column, _ in columns)
        database.execute(
            f"INSERT INTO payloads (id, {names}) VALUES (?{', ?' * len(columns)})"
            f" ON CONFLICT (id) DO UPDATE SET {updates}",
            (instance_id, *(value for _, value in columns)),
        )


def insert_activity(database: sqlite3.Connection, activity: Activity, owner: str | None) -> None:
    """Write an activity and give it its sequence."""
    activity.sequence = database.execute(
        "INSERT INTO activities (instance, execution_id, task_id, name, input, owner) VALUES (?, ?, ?, ?, ?, ?)",
        (activity.instance_id, activity.execution_id, activity.task_id, activity.name, activity.input, owner),
    ).lastrowid


def claim_activities(database: sqlite3.Connection, owner: str, limit: int) -> list[Activity]:
    """Take the oldest activities that are nobody's."""
    found = database.execute(
        "UPDATE activities SET owner = ? WHERE sequence IN"
        " (SELECT sequence FROM activities WHERE owner IS NULL ORDER BY sequence LIMIT ?)"
        f" RETURNING {ACTIVITY_COLUMNS}",
        (owner, limit),
    ).fetchall()
    return sorted(map(activity_from, found), key=lambda activity: activity.sequence)


def release_activity(database: sqlite3.Connection, activity: Activity, owner: str) -> None:
    """Make an activity nobody's."""
    database.execute("UPDATE activities SET owner = NULL WHERE sequence = ? AND owner = ?", (activity.sequence, owner))


def delete_activity(database: sqlite3.Connection, activity: Activity, owner: str) -> bool:
    """Forget an activity; False when it is not `owner`'s any more."""
    deleted = database.execute("DELETE FROM activities WHERE sequence = ? AND owner = ?", (activity.sequence, owner))
    return deleted.rowcount == 1


def instance_for(message: Message, now: datetime) -> tuple[Instance, str | None] | None:
    """The instance that comes to be by its first message (a sub-orchestration, or an entity), and its input."""
    input = None
    if message.type == EventType.EXECUTION_STARTED:
        started = json.loads(message.text)
        name, version, status = started["Name"], started.get("Version") or "", RuntimeStatus.PENDING
        input = started.get("Input")
    elif message.instance_id.startswith("@") and message.type == EventType.EVENT_RAISED:
        name, version, status = message.instance_id, "", RuntimeStatus.RUNNING
    else:
        return None
    execution_id = message.execution_id or f"{new_revision():032x}"
    return Instance(message.instance_id, execution_id, name, version, status, now, now), input
