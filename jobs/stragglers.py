"""Stragglers: jobs that run past their deadline, that do not begin, or have ended without all that must follow.

A job that has failed may have no dead letter yet, and one that was to tell of its end may not have told it.

The ledger has no index by time, so it is swept: each watch asks for a few pages of the rows that may be stragglers,
which storage picks out, and the next watch goes on where this one stopped. A small ledger is swept by one request each
minute; of a large one, storage looks through as much as it can in five seconds for each request.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from zlib import crc32

from azure.core.exceptions import ResourceNotFoundError
from azure.data.tables import UpdateMode
from azure.data.tables.aio import TableClient
from azure.durable_functions import DurableOrchestrationClient

from jobs import approvals, bodies, claim_check, clock, delivery, ending, import_hand_over, ledger, status, wakes
from jobs.alerts import Condition
from jobs.catalog import KINDS, Kind
from jobs.clients import clients
from jobs.dead_letters import OPEN_COMPENSATIONS
from jobs.entry import FAILED, PENDING, RUNNING, WAITING, Entry, Run
from jobs.import_file import MOST_ROWS
from jobs.ledger import written
from jobs.rows import entry_of
from jobs.settings import settings

OVERDUE, STALLED = "overdue", "stalled"
"""The groups of their alerts."""
PAGE = 1000
MOST_PAGES = 5
"""In one watch."""
MOST_ASKED = 20
"""Orchestrations of one state in one watch of which Durable is asked whether they have stopped."""
MOST_NAMED = 5
"""Jobs that an alert names."""
SWEEP = {"PartitionKey": "watchdog", "RowKey": "sweep"}
"""Where a sweep that is not over waits for the next watch: a row of the table `schedules`."""

# The SDK finds a parameter only if there is a blank on either side of it.
QUERY = (
    f"(state eq '{RUNNING}' and startedAt lt @started ) or (state eq '{PENDING}' and submittedAt lt @submitted ) "
    f"or (state eq '{FAILED}' and buried eq false and completedAt lt @failed ) "
    "or (owed eq true and completedAt lt @failed )"
)


@dataclass
class Group:
    """Stragglers of one sort and kind."""

    count: int = 0
    jobs: list[str] = field(default_factory=list)

    def add(self, entry: Entry) -> None:
        self.count += 1
        if len(self.jobs) < MOST_NAMED:
            self.jobs.append(entry.job.id)


@dataclass
class Sweep:
    """A walk through the ledger, as far as it has come."""

    groups: dict[str, Group] = field(default_factory=dict)
    """By the key of their alert, `overdue:<kind>` or `stalled:<kind>`."""
    continuation: dict[str, str] | None = None
    is_over: bool = False
    buried: int = 0
    """In this watch: failed jobs that had no dead letter."""
    ended: int = 0
    """In this watch: jobs whose orchestration had stopped, so that nobody else would have entered their end."""
    asked: Counter[str] = field(default_factory=Counter)
    """In this watch, by state: jobs of which Durable was asked whether they have stopped."""
    handed_over: int = 0
    """In this watch: jobs of which nobody had handed over that their end is to be told."""

    def conditions(self) -> list[Condition]:
        """What calls for a person. Only a sweep that is over knows it."""
        return [
            Condition(key, _SUMMARIES[key.partition(":")[0]].format(key.partition(":")[2]), vars(group))
            for key, group in self.groups.items()
        ]

    def to_row(self) -> dict[str, Any]:
        groups = {key: vars(group) for key, group in self.groups.items()}
        return {**SWEEP, "groups": json.dumps(groups), "continuation": json.dumps(self.continuation)}

    @classmethod
    def of_row(cls, row: Mapping[str, Any]) -> Sweep:
        groups = {key: Group(**group) for key, group in json.loads(row["groups"]).items()}
        return cls(groups, json.loads(row["continuation"]))


_SUMMARIES = {OVERDUE: "jobs of kind {} run past their deadline", STALLED: "jobs of kind {} do not begin"}


async def sweep(unhurried: timedelta, durable: DurableOrchestrationClient | None) -> Sweep:
    """Sweep on. Bury what failed so long ago and is not buried; end what has stopped, if `durable` can tell.

    Raises ServiceBusUnavailableError, SettingMissingError.
    """
    known = await _left_by_the_last_watch()
    current = _left_over(known) if known else Sweep()
    now = clock.now()
    query = ledger.table().query_entities(QUERY, parameters=_limits(now, unhurried), results_per_page=PAGE)
    pages = query.by_page(current.continuation)
    for _ in range(MOST_PAGES):
        # Whole, before anything is done: that may take longer than storage keeps a connection.
        rows = [row async for row in await anext(pages)]
        for row in rows:
            await _look_at(entry_of(row, row.metadata["etag"]), now, current, durable)
        current.continuation = pages.continuation_token
        current.is_over = current.continuation is None
        if current.is_over:
            break
    if not current.is_over:
        await _table().upsert_entity(current.to_row(), mode=UpdateMode.REPLACE)
    elif known:
        await _table().delete_entity(*SWEEP.values())
    return current


def _limits(now: datetime, unhurried: timedelta) -> dict[str, str]:
    shortest = min(kind.deadline for kind in KINDS.values()) + _margin()
    return {
        "started": written(now - shortest),
        "submitted": written(now - timedelta(seconds=settings().stalled_alert_age)),
        "failed": written(now - unhurried),
    }


def _margin() -> timedelta:
    return timedelta(seconds=settings().overdue_alert_margin)


async def _look_at(entry: Entry, now: datetime, current: Sweep, durable: DurableOrchestrationClient | None) -> None:
    if entry.failure and not entry.is_buried:
        await ending.conclude(entry)
        current.buried += 1
    elif entry.is_final:
        await delivery.hand_over(entry)
        current.handed_over += 1
    elif entry.state == PENDING:
        if _may_begin_since(entry) < now - timedelta(seconds=settings().stalled_alert_age):
            if await _is_ended(entry, current, durable):
                return
            current.groups.setdefault(f"{STALLED}:{entry.job.kind}", Group()).add(entry)
    elif _is_overdue(entry, now):
        if await _is_ended(entry, current, durable):
            return
        current.groups.setdefault(f"{OVERDUE}:{entry.job.kind}", Group()).add(entry)
    elif entry.is_waiting and _is_its_minute(entry, now):
        await _is_ended(entry, current, durable)


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
    return due < now - _margin()


def _is_its_minute(entry: Entry, now: datetime) -> bool:
    """A job may wait for weeks before it is late: so that its end is told sooner, it is asked about once an hour."""
    return crc32(entry.job.instance_id.encode()) % 60 == now.minute


async def _is_ended(entry: Entry, current: Sweep, durable: DurableOrchestrationClient | None) -> bool:
    """Ask Durable about the job, unless enough have been asked about, and end it if its orchestration has stopped."""
    kind = KINDS.get(entry.job.kind)
    why = WAITING if entry.is_waiting else entry.state
    if durable is None or kind is None or kind.orchestrator is None or current.asked[why] >= MOST_ASKED:
        return False
    current.asked[why] += 1
    is_ended = await _end_if_stopped(entry, kind, durable)
    current.ended += is_ended
    return is_ended


async def _end_if_stopped(entry: Entry, kind: Kind, durable: DurableOrchestrationClient) -> bool:
    """Enter the end of a job whose orchestration has stopped without doing so, and bury it."""
    live = await durable.get_status(entry.job.instance_id, show_input=True)
    stopped = status.end_of(entry, live)
    if stopped is None:
        return False
    state, error = stopped
    if kind.undoes and entry.state == RUNNING:
        # Nobody knows what is left open, so a replay must not do it twice.
        error = {**error, OPEN_COMPENSATIONS: [UNKNOWN]}
    arguments = live.input_ if live else None
    if isinstance(arguments, str):
        arguments = json.loads(arguments)
    if arguments:
        await bodies.keep_job(entry.job, arguments["input"])
    if question := await approvals.withdraw(entry.job.instance_id):
        # Durable does not end what waits for the answer: it would go on to mail.
        await wakes.wake(question.instance_id, question.wake, durable)
    ended = await ending.enter(entry.job, Run(entry.started_at, entry.tag, entry.attempt), state, error=error)
    if ended:
        await ending.conclude(ended)
    return True


UNKNOWN = "whatever had been done"
"""What stands in a job's open compensations when it was stopped from outside."""


def _left_over(row: Mapping[str, Any]) -> Sweep:
    try:
        return Sweep.of_row(row)
    except (KeyError, TypeError, ValueError, AttributeError):
        # Somebody has damaged it, or an older version of the app has written it: the sweep begins anew.
        return Sweep()


async def _left_by_the_last_watch() -> Mapping[str, Any] | None:
    try:
        return await _table().get_entity(*SWEEP.values())
    except ResourceNotFoundError:
        return None


def _table() -> TableClient:
    return clients().table("schedules")
