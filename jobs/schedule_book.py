"""The book of schedules: since when each is known and when it ran, so that what should have run can be told from it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from azure.core.exceptions import ResourceExistsError, ResourceNotFoundError
from azure.data.tables import UpdateMode
from azure.data.tables.aio import TableClient

from jobs import clock
from jobs.clients import clients
from jobs.ledger import written
from jobs.timetable import SCHEDULES, Schedule

AROUND = timedelta(hours=3)
"""An occurrence that a change of the clocks shows twice may have been run so much earlier or later."""
HEAD = "head"
"""The row of a schedule itself. Those of its runs have their scheduled time as the key, which sorts before it."""


@dataclass(frozen=True)
class Head:
    """What is known of a schedule, whatever of its runs is still in the book."""

    since: datetime
    """From when on it has been expected to run: before, there was no app, or another timetable."""
    last: datetime | None = None
    """The newest occurrence that has run."""
    job: str | None = None
    """The job that it submitted last, as `<kind>/<id>`."""


async def head(schedule: Schedule, since: datetime | None = None) -> Head:
    """The schedule's own row, which is made if it is not there, is damaged or about another expression or time zone."""
    timetable = {"expression": schedule.expression, "timeZone": str(clock.zone())}
    try:
        row = await _table().get_entity(schedule.name, HEAD)
        if timetable.items() <= row.items():
            return _head_of(row)
    except ResourceNotFoundError:
        pass
    except (KeyError, TypeError, ValueError):
        await _table().delete_entity(schedule.name, HEAD)
    # Of several hosts that do this at the same time one is right enough, as they differ by moments.
    row = {
        "PartitionKey": schedule.name,
        "RowKey": HEAD,
        **timetable,
        "since": written(since or clock.now()),
    }
    await _table().upsert_entity(row, mode=UpdateMode.MERGE)
    return _head_of(await _table().get_entity(schedule.name, HEAD))


async def left_open(schedule: Schedule, expected: Sequence[datetime]) -> list[datetime]:
    """Those of the expected occurrences (oldest first) that have no run, or one that was begun and not done."""
    if not expected:
        return []
    query = "PartitionKey eq @name and RowKey ge @since and RowKey le @until"
    since, until = expected[0] - AROUND, expected[-1] + AROUND
    parameters = {"name": schedule.name, "since": written(since), "until": written(until)}
    rows = [row async for row in _table().query_entities(query, parameters=parameters)]
    done = {schedule.identity(datetime.fromisoformat(row["RowKey"])) for row in rows if row.get("completedAt")}
    return [moment for moment in expected if schedule.identity(moment) not in done]


async def begin(schedule: Schedule, scheduled_at: datetime) -> bool:
    """Enter a run before it is done. False when it was begun before."""
    row = {**_keys(schedule, scheduled_at), "startedAt": written(clock.now())}
    try:
        await _table().create_entity(row)
    except ResourceExistsError:
        return False
    return True


async def complete(schedule: Schedule, scheduled_at: datetime, job: str | None) -> None:
    """Enter that a run is done, and what job came of it."""
    outcome = {"job": job} if job else {}
    row = {**_keys(schedule, scheduled_at), "completedAt": written(clock.now()), **outcome}
    await _table().upsert_entity(row, mode=UpdateMode.MERGE)
    newest = (await head(schedule)).last
    if newest is None or newest < scheduled_at:
        changes = {"PartitionKey": schedule.name, "RowKey": HEAD, "last": written(scheduled_at), **outcome}
        await _table().upsert_entity(changes, mode=UpdateMode.MERGE)


def needed_since() -> dict[str, str]:
    """By schedule, the key of the oldest row of a run that must stay: without it the run would be made up for."""
    now = clock.now()
    return {name: written(schedule.looks_back_to(now) - AROUND) for name, schedule in SCHEDULES.items()}


def _keys(schedule: Schedule, scheduled_at: datetime) -> dict[str, str]:
    return {"PartitionKey": schedule.name, "RowKey": written(scheduled_at)}


def _head_of(row: Mapping[str, Any]) -> Head:
    last = row.get("last")
    return Head(_moment(row["since"]), None if last is None else _moment(last), row.get("job"))


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError("no time zone")
    return moment


def _table() -> TableClient:
    return clients().table("schedules")
