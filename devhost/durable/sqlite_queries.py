"""What clients ask of the SQLite hub, and what they make it forget."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from typing import Any

from devhost.durable.hub import InstanceQuery, InstanceView
from devhost.durable.sqlite_rows import INSTANCE_COLUMNS, instance_from
from devhost.durable.sqlite_schema import to_number

_COLUMNS = ", ".join(f"i.{column.strip()}" for column in INSTANCE_COLUMNS.split(","))
_LAST = "\U0010ffff"


def view(database: sqlite3.Connection, instance_id: str) -> InstanceView | None:
    """One instance."""
    row = database.execute(
        f"SELECT p.input, p.output, {_COLUMNS} FROM instances i LEFT JOIN payloads p ON p.id = i.id WHERE i.id = ?",
        (instance_id,),
    ).fetchone()
    return None if row is None else InstanceView(instance_from(row[2:]), row[0], row[1])


def query(database: sqlite3.Connection, wanted: InstanceQuery) -> list[InstanceView]:
    """Instances in the order of their ids."""
    conditions: list[str] = []
    values: list[Any] = []

    def where(condition: str, *arguments: Any) -> None:
        conditions.append(condition)
        values.extend(arguments)

    if wanted.id_prefix:
        where("i.id >= ? AND i.id < ?", wanted.id_prefix, wanted.id_prefix + _LAST)
    if wanted.after_id is not None:
        where("i.id > ?", wanted.after_id)
    for column, operator, moment in (
        ("created", ">=", wanted.created_from), ("created", "<=", wanted.created_to),
        ("updated", ">=", wanted.updated_from), ("updated", "<=", wanted.updated_to),
    ):  # fmt: skip
        if moment is not None:
            where(f"i.{column} {operator} ?", to_number(moment))
    if wanted.statuses:
        where(f"i.status IN ({','.join('?' * len(wanted.statuses))})", *(status.value for status in wanted.statuses))
    if wanted.entities is not None:
        where(f"i.id {'' if wanted.entities else 'NOT '}LIKE '@%'")
    input_column = "p.input" if wanted.with_input else "NULL"
    condition = f"WHERE {' AND '.join(conditions)}" if conditions else ""
    rows = database.execute(
        f"SELECT {input_column}, p.output, {_COLUMNS} FROM instances i LEFT JOIN payloads p ON p.id = i.id {condition}"
        " ORDER BY i.id LIMIT ?",
        (*values, -1 if wanted.top is None else wanted.top),
    )
    return [InstanceView(instance_from(row[2:]), row[0], row[1]) for row in rows]


def history(database: sqlite3.Connection, instance_id: str) -> list[str]:
    """The events as JSON texts. A row holds those of one episode, joined by commas."""
    rows = database.execute("SELECT events FROM history WHERE instance = ? ORDER BY episode", (instance_id,))
    return [row[0] for row in rows]


def split(chunks: Sequence[str]) -> list[str]:
    """Single events from rows of joined ones."""
    return [json.dumps(event) for event in json.loads(f"[{','.join(chunks)}]")]


def purge(database: sqlite3.Connection, instance_ids: Sequence[str]) -> int:
    """Forget instances; returns how many there were. Belongs into a transaction."""
    keys = [(instance_id,) for instance_id in instance_ids]
    for table, column in (("payloads", "id"), ("history", "instance"), ("messages", "instance")):
        database.executemany(f"DELETE FROM {table} WHERE {column} = ?", keys)
    return sum(database.execute("DELETE FROM instances WHERE id = ?", key).rowcount for key in keys)
