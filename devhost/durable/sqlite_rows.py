"""Rows of the SQLite hub and what they stand for."""

from __future__ import annotations

import json
import sqlite3
import time
from datetime import datetime
from typing import Any

from devhost.durable.hub import Activity, EventType, Instance, Message, RuntimeStatus
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


def insert_activity(database: sqlite3.Connection, activity: Activity, owner: str | None) -> None:
    """Write an activity and give it its sequence."""
    activity.sequence = database.execute(
        "INSERT INTO activities (instance, execution_id, task_id, name, input, owner) VALUES (?, ?, ?, ?, ?, ?)",
        (activity.instance_id, activity.execution_id, activity.task_id, activity.name, activity.input, owner),
    ).lastrowid


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
