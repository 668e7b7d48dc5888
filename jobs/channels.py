"""The channels by which a job's outcome is told, and how far each of them is, as the job's row says it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from yarl import URL

from jobs import ledger
from jobs.catalog import KINDS
from jobs.entry import Deliveries, Entry, JobRef
from jobs.settings import settings

CALLBACK, REPLY, MAIL, EVENT = "callback", "reply", "mail", "event"
PENDING, DELIVERED, FAILED = "Pending", "Delivered", "Failed"
NOT_TRIED = {"state": PENDING, "attempts": 0}


def asked(job: JobRef) -> Deliveries:
    """The channels by which the outcome is to be told, besides the event of every job; none of them tried."""
    kind = KINDS.get(job.kind)
    mail_to = kind and kind.outcome_mail_to and kind.outcome_mail_to(settings())
    asks = {CALLBACK: job.calls_back, REPLY: job.reply_to, MAIL: mail_to}
    return {channel: NOT_TRIED for channel, is_asked in asks.items() if is_asked}


def asked_of_a_cancelled(job: JobRef) -> Deliveries:
    """The same, and the event: whoever cancels a job that has not begun may die then, and nobody does it again."""
    return asked(job) | ({EVENT: NOT_TRIED} if settings().has_service_bus else {})


def shown(entry: Entry) -> dict[str, Any]:
    """By channel, what a status shows: `state`, `attempts`, `at` (of the last one), `error`; `host` of a callback.

    A callback's URL may hold a token, so it is not shown.
    """
    known = entry.deliveries if entry.is_final else asked(entry.job)
    states = {channel: {name: said[name] for name in said if name != "chain"} for channel, said in known.items()}
    if CALLBACK in states and entry.callback_url:
        states[CALLBACK]["host"] = URL(entry.callback_url).host
    return states


async def enter(entry: Entry, said: Deliveries, *, owed: bool | None = None) -> None:
    """Enter into the job's row what is `said` of channels, and whether some are `owed` still (None: as it was).

    Does nothing when the job was opened again since: that end is no more. Nor does what a try says stand when a later
    one of its chain was quicker. Raises JobNotFoundError.
    """
    ending = entry.ending
    while entry.ending == ending:
        said = {channel: new for channel, new in said.items() if not _is_late(new, entry.deliveries.get(channel))}
        changes: dict[str, Any] = {"completedAt": entry.completed_at, "deliveries": json.dumps(entry.deliveries | said)}
        if owed is not None:
            changes["owed"] = owed
        if await ledger.merge(entry.job, entry.tag, changes):
            return
        entry = await ledger.get(entry.job.kind, entry.job.id)


def _is_late(new: Mapping[str, Any], known: Mapping[str, Any] | None) -> bool:
    return known is not None and known.get("chain") == new.get("chain") and known["attempts"] > new["attempts"]
