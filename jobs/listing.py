"""Lists of jobs: page by page in the ledger's order, or the newest ones of a time that is not too long to look at."""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from jobs import clock
from jobs.entry import RUNNING, WAITING, Entry, written
from jobs.ledger import STATES, table
from jobs.ledger_rows import sort_out

SHOWN = (*STATES, WAITING)
"""What a status may be called: Waiting is Running, in the ledger."""
DAY = timedelta(days=1)
"""So far back the newest are looked for, unless a list says since when."""
MOST_LOOKED_AT = 2000
"""Rows in one look for the newest."""
FIRST_LOOK = timedelta(hours=1)
"""No longer a time is looked at first: it mostly has enough jobs for a page."""
STEP = 6
"""By so much a time is made longer that has too few jobs, and shorter that has too many."""
SHORTEST = timedelta(seconds=1)
ROWS_IN_PAGE = 1000
"""Table storage gives no more at once."""

Query = tuple[str, dict[str, str]]


@dataclass(frozen=True)
class Page:
    """Some jobs, in the order of their kinds and ids."""

    entries: list[Entry]
    damaged: list[str]
    """Jobs whose rows cannot be read, as `<kind>/<id>`."""
    continuation: dict[str, str] | None
    """Where to go on, None at the end."""


@dataclass(frozen=True)
class Newest:
    """The newest jobs: none that was submitted since then is missing, unless there are more than were asked for."""

    entries: list[Entry]
    damaged: list[str]
    """Of those that were looked at, jobs whose rows cannot be read, as `<kind>/<id>`."""
    since: str
    is_cut: bool
    """Whether `since` is later than was asked for, because there are too many jobs to look at."""


@dataclass
class _Look:
    """What was found of one time."""

    entries: list[Entry] = field(default_factory=list)
    damaged: list[str] = field(default_factory=list)
    is_all: bool = True


async def page(
    *, kind: str | None, status: str | None, since: str | None, top: int, continuation: dict[str, str] | None
) -> Page:
    """Up to `top` jobs ordered by kind and id, submitted at or after `since`."""
    pages = _rows(_query(kind, status, since), top).by_page(continuation)
    async for rows in pages:
        read, damaged = sort_out([row async for row in rows])
        return Page([entry for _, entry in read if _fits(entry, status)], damaged, pages.continuation_token)
    return Page([], [], None)


async def newest(*, kind: str | None, status: str | None, since: str | None, top: int) -> Newest:
    """The newest `top` jobs that were submitted at or after `since`.

    Rows are not ordered by time, so all of a time are looked at: first of the latest, then of longer ones.
    """
    now = clock.now()
    asked = datetime.fromisoformat(since) if since else now - DAY
    longest = now - asked
    part, is_shortened, known = 1, False, None
    while longest / part > FIRST_LOOK:
        part *= STEP
    while True:
        begin = written(now - longest / part)
        look = await _look(_query(kind, status, begin), status)
        if look.is_all:
            if len(look.entries) >= top or part == 1:
                return _newest(look, top, written(asked), is_cut=False)
            known = _newest(look, top, begin, is_cut=True)
            if is_shortened:
                return known
            part //= STEP
        elif known or longest / part <= SHORTEST:
            # Of a flood, any that were found are shown: nothing is said of what came before now.
            return known or _newest(look, top, written(now), is_cut=True)
        else:
            is_shortened, part = True, part * STEP


def _newest(look: _Look, top: int, since: str, *, is_cut: bool) -> Newest:
    newest = heapq.nlargest(top, look.entries, key=lambda entry: entry.job.submitted_at)
    return Newest(newest, look.damaged, since, is_cut)


async def _look(query: Query, status: str | None) -> _Look:
    """What fits of one time, unless more rows would be looked at than may be."""
    found = _Look()
    looked_at = 0
    async for rows in _rows(query, ROWS_IN_PAGE).by_page():
        some = [row async for row in rows]
        found.is_all = looked_at + len(some) <= MOST_LOOKED_AT
        read, damaged = sort_out(some[: MOST_LOOKED_AT - looked_at])
        found.entries += [entry for _, entry in read if _fits(entry, status)]
        found.damaged += damaged
        looked_at += len(some)
        if not found.is_all:
            break
    return found


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
