"""Lists of jobs: page by page in the ledger's order, or the newest ones of a time that is not too long to look at."""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from jobs import clock
from jobs.entry import RUNNING, WAITING, Entry, written
from jobs.ledger import STATES, table
from jobs.rows import entry_of

SHOWN = (*STATES, WAITING)
"""What a status may be called: Waiting is Running, in the ledger."""
DAY = timedelta(days=1)
"""So far back the newest are looked for, unless a list says since when."""
MOST_LOOKED_AT = 2000
"""Rows in one look for the newest."""
NARROWER = 6
"""By so much a time is shortened that has too many jobs."""
SHORTEST = timedelta(seconds=1)
ROWS_IN_PAGE = 1000
"""Table storage gives no more at once."""

Query = tuple[str, dict[str, str]]


@dataclass(frozen=True)
class Newest:
    """The newest jobs: none that was submitted since then is missing, unless there are more than were asked for."""

    entries: list[Entry]
    since: str
    is_cut: bool
    """Whether `since` is later than was asked for, because there are too many jobs to look at."""


async def page(
    *, kind: str | None, status: str | None, since: str | None, top: int, continuation: dict[str, str] | None
) -> tuple[list[Entry], dict[str, str] | None]:
    """Up to `top` jobs ordered by kind and id, submitted at or after `since`; and where to go on, None at the end."""
    pages = _rows(_query(kind, status, since), top).by_page(continuation)
    async for rows in pages:
        entries = [entry_of(row, row.metadata["etag"]) async for row in rows]
        return [entry for entry in entries if _fits(entry, status)], pages.continuation_token
    return [], None


async def newest(*, kind: str | None, status: str | None, since: str | None, top: int) -> Newest:
    """The newest `top` jobs that were submitted at or after `since`.

    Rows are not ordered by time, so all of that time are looked at; when they are too many, those of a shorter time.
    """
    now = clock.now()
    asked = datetime.fromisoformat(since) if since else now - DAY
    span = now - asked
    while True:
        begin = written(now - span)
        found, is_all = await _look(_query(kind, status, begin), status)
        if is_all or span <= SHORTEST:
            newest = heapq.nlargest(top, found, key=lambda entry: entry.job.submitted_at)
            # Of a flood, any that were found are shown: nothing is said of what came before now.
            return Newest(newest, begin if is_all else written(now), is_cut=not is_all or span < now - asked)
        span = max(SHORTEST, span / NARROWER)


async def _look(query: Query, status: str | None) -> tuple[list[Entry], bool]:
    """What fits, and whether that is all: no more rows are looked at than may be."""
    found: list[Entry] = []
    looked_at = 0
    async for row in _rows(query, ROWS_IN_PAGE):
        if looked_at == MOST_LOOKED_AT:
            return found, False
        looked_at += 1
        entry = entry_of(row, row.metadata["etag"])
        if _fits(entry, status):
            found.append(entry)
    return found, True


def _rows(query: Query, in_page: int) -> Any:
    conditions, parameters = query
    return table().query_entities(conditions, parameters=parameters, results_per_page=in_page)


def _query(kind: str | None, status: str | None, since: str | None) -> Query:
    conditions = {"kind": "PartitionKey eq @kind", "state": "state eq @state", "since": "submittedAt ge @since"}
    given = {"kind": kind, "state": RUNNING if status == WAITING else status, "since": since}
    # The SDK fails when it is given parameters and no condition to put them into.
    parameters = {name: value for name, value in given.items() if value is not None}
    query = " and ".join(conditions[name] for name in parameters)
    # A query finds no row by what it lacks, so Running is sorted out here, and Waiting there.
    return (f"{query} and waitingFor gt ''" if status == WAITING else query), parameters


def _fits(entry: Entry, status: str | None) -> bool:
    return status != RUNNING or not entry.is_waiting
