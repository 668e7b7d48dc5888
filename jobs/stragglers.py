"""Stragglers: jobs that run past their deadline, that do not begin, or have ended without all that must follow.

A job that has failed may have no dead letter yet, one that was to tell of its end may not have told it, and one whose
orchestration was stopped from outside has no end: that is done on the way (see `jobs.finishing`).

The ledger has no index by time, so it is swept: each watch asks for a few pages of the rows that may be stragglers,
which storage picks out, and the next watch goes on where this one stopped. A small ledger is swept by one request each
minute; of a large one, storage looks through as much as it can in five seconds for each request.
"""

from __future__ import annotations

import json
import random
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from azure.core.exceptions import ResourceNotFoundError
from azure.data.tables import UpdateMode
from azure.data.tables.aio import TableClient
from azure.durable_functions import DurableOrchestrationClient

from jobs import claim_check, clock, import_hand_over, ledger
from jobs.alerts import Condition
from jobs.catalog import KINDS
from jobs.clients import clients
from jobs.entry import FAILED, PENDING, RUNNING, WAITING, Entry
from jobs.finishing import BURIALS, DELIVERIES, ENDS, Finisher, Group
from jobs.import_file import MOST_ROWS
from jobs.ledger import written
from jobs.ledger_rows import COLUMNS, sort_out
from jobs.settings import settings

OVERDUE, STALLED, DAMAGED, UNFINISHED = "overdue", "stalled", "damaged", "unfinished"
"""The groups of their alerts."""
PAGE = 1000
MOST_PAGES = 5
"""In one watch."""
ASKED_AFTER = timedelta(minutes=2)
"""Durable is asked about a job that has run for so long: most have ended by then."""
MOST_ASKED = 20
"""Jobs of one sort in one watch of which Durable is asked whether they have stopped."""
AHEAD = timedelta(hours=1)
"""Clocks may differ; a job from so far in the future was never submitted."""
SWEEP = {"PartitionKey": "watchdog", "RowKey": "sweep"}
"""Where a sweep that is not over waits for the next watch: a row of the table `schedules`."""

# The SDK finds a parameter only if there is a blank on either side of it.
QUERY = (
    f"(state eq '{RUNNING}' and startedAt lt @started ) or (state eq '{PENDING}' and submittedAt lt @submitted ) "
    f"or (state eq '{FAILED}' and buried eq false and completedAt lt @failed ) "
    "or (owed eq true and completedAt lt @failed ) "
    f"or ((state eq '{RUNNING}' or state eq '{PENDING}') and submittedAt gt @ahead )"
)
READ = [column for column in COLUMNS if column != "result"]
"""Results are large, and nothing here needs them."""

_SUMMARIES = {
    OVERDUE: "jobs of kind {} run past their deadline",
    STALLED: "jobs of kind {} do not begin",
    DAMAGED: "rows of the table {} cannot be read, or come from the future",
    f"{UNFINISHED}:{BURIALS}": "jobs have failed and cannot get their dead letters",
    f"{UNFINISHED}:{DELIVERIES}": "jobs have ended and it cannot be handed over that their ends are to be told",
    f"{UNFINISHED}:{ENDS}": "the watchdog cannot find out which jobs were stopped from outside, or cannot end them",
}


@dataclass
class Sweep:
    """A walk through the ledger, as far as it has come."""

    finisher: Finisher
    """What was done in this watch."""
    groups: dict[str, Group] = field(default_factory=lambda: defaultdict(Group))
    """By the key of their alert: `overdue:<kind>`, `stalled:<kind>`, `damaged:jobs`."""
    continuation: dict[str, str] | None = None
    is_over: bool = False

    def conditions(self) -> list[Condition]:
        """Jobs that call for a person. Only a sweep that is over knows them."""
        return [_condition(key, vars(group)) for key, group in self.groups.items()]

    def hindrances(self) -> list[Condition]:
        """What could not be done in this watch."""
        return [
            _condition(f"{UNFINISHED}:{what}", {"error": each.error, **vars(each.left)})
            for what, each in self.finisher.hindrances.items()
        ]

    def to_row(self) -> dict[str, Any]:
        groups = {key: vars(group) for key, group in self.groups.items()}
        return {**SWEEP, "groups": json.dumps(groups), "continuation": json.dumps(self.continuation)}

    def go_on(self, row: Mapping[str, Any]) -> None:
        """Go on where the last watch stopped. Raises KeyError, TypeError, ValueError, AttributeError."""
        groups = {key: Group(**group) for key, group in json.loads(row["groups"]).items()}
        self.continuation = json.loads(row["continuation"])
        self.groups.update(groups)


def _condition(key: str, figures: Mapping[str, Any]) -> Condition:
    group, _, about = key.partition(":")
    return Condition(key, (_SUMMARIES.get(key) or _SUMMARIES[group]).format(about), figures)


async def sweep(unhurried: timedelta, durable: DurableOrchestrationClient | None) -> Sweep:
    """Sweep on. Bury what failed so long ago and is not buried; end what has stopped, if `durable` can tell."""
    current = Sweep(Finisher(durable))
    known = await _left_by_the_last_watch()
    if known:
        try:
            current.go_on(known)
        except (KeyError, TypeError, ValueError, AttributeError):
            # Somebody has damaged it, or an older version of the app has written it: the sweep begins anew.
            current = Sweep(current.finisher)
    now = clock.now()
    query = ledger.table().query_entities(QUERY, parameters=_limits(now, unhurried), select=READ, results_per_page=PAGE)
    pages = query.by_page(current.continuation)
    doubtful: dict[str, list[Entry]] = defaultdict(list)
    for _ in range(MOST_PAGES):
        # Whole, before anything is done: that may take longer than storage keeps a connection.
        read, damaged = sort_out([row async for row in await anext(pages)])
        for job in damaged:
            current.groups[f"{DAMAGED}:jobs"].add(job)
        for _, entry in read:
            await _look_at(entry, now, current, doubtful)
        current.continuation = pages.continuation_token
        current.is_over = current.continuation is None
        if current.is_over:
            break
    for sort, entries in doubtful.items():
        await _settle_doubts(sort, entries, current)
    if not current.is_over:
        await _table().upsert_entity(current.to_row(), mode=UpdateMode.REPLACE)
    elif known:
        await _table().delete_entity(*SWEEP.values())
    return current


def _limits(now: datetime, unhurried: timedelta) -> dict[str, str]:
    return {
        "started": written(now - ASKED_AFTER),
        "submitted": written(now - timedelta(seconds=settings().stalled_alert_age)),
        "failed": written(now - unhurried),
        "ahead": written(now + AHEAD),
    }


async def _look_at(entry: Entry, now: datetime, current: Sweep, doubtful: dict[str, list[Entry]]) -> None:
    """Do with a job what is to be done, or remember it among the doubtful ones of its sort."""
    if entry.failure and not entry.is_buried:
        await current.finisher.bury(entry)
    elif entry.is_final:
        await current.finisher.hand_over(entry)
    elif datetime.fromisoformat(entry.job.submitted_at) > now + AHEAD:
        current.groups[f"{DAMAGED}:jobs"].add(f"{entry.job.kind}/{entry.job.id}")
    elif entry.state == PENDING:
        if _may_begin_since(entry) < now - timedelta(seconds=settings().stalled_alert_age):
            doubtful[STALLED].append(entry)
    elif _is_overdue(entry, now):
        doubtful[OVERDUE].append(entry)
    else:
        doubtful[WAITING if entry.is_waiting else RUNNING].append(entry)


async def _settle_doubts(sort: str, entries: list[Entry], current: Sweep) -> None:
    """Ask Durable about some of them, in any order so that none is always left out; end those that have stopped."""
    asked = 0
    for entry in random.sample(entries, len(entries)):
        if asked < MOST_ASKED and current.finisher.may_ask(entry):
            asked += 1
            if await current.finisher.end_if_stopped(entry, is_overdue=sort == OVERDUE):
                continue
        if sort in (OVERDUE, STALLED):
            current.groups[f"{sort}:{entry.job.kind}"].add(entry.job.id)


def _may_begin_since(entry: Entry) -> datetime:
    """The moment from which on nothing holds the job back; of an imported order, the latest that it can be."""
    moment = datetime.fromisoformat(max(entry.job.due_at, entry.held_until or ""))
    if entry.job.claim and claim_check.is_shared(entry.job.claim):
        moment = import_hand_over.due(moment, MOST_ROWS)
    return moment


def _is_overdue(entry: Entry, now: datetime) -> bool:
    kind = KINDS.get(entry.job.kind)
    deadline = kind.deadline if kind else timedelta()
    due = datetime.fromisoformat(entry.overdue_at or entry.started_at) + (timedelta() if entry.overdue_at else deadline)
    return due < now - timedelta(seconds=settings().overdue_alert_margin)


async def _left_by_the_last_watch() -> Mapping[str, Any] | None:
    try:
        return await _table().get_entity(*SWEEP.values())
    except ResourceNotFoundError:
        return None


def _table() -> TableClient:
    return clients().table("schedules")
