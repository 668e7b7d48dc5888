"""Alerts: one row for each condition that calls for a person, raised once and cleared once however many watch.

Whoever changes a row's state also writes into it what is to be told, and holds it for a while; nobody else tells it or
changes it meanwhile. What could not be told, or whose teller died, the next watch tells.

A depth or an age that goes up and down around its limit is one alert: it is cleared when what it is about has been gone
for ALERT_QUIET_TIME, and until then the row says since when.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from azure.core.exceptions import ResourceExistsError, ResourceModifiedError
from azure.data.tables import UpdateMode
from azure.data.tables.aio import TableClient

from jobs import alert_channels, clock, telemetry
from jobs.alert_channels import CLEARED, RAISED, Notice
from jobs.clients import clients
from jobs.errors import JobError
from jobs.etags import if_match
from jobs.ledger import written
from jobs.settings import settings

PARTITION = "alert"
EARLY = timedelta(seconds=10)
"""So much less than a number of minutes may lie between as many watches: each begins when its host comes to it."""
TELLING = timedelta(minutes=2)
"""So long a row is held by who tells of it. If that process dies, what it told may be told again, by the same id."""


@dataclass(frozen=True)
class Condition:
    """Something that calls for a person, as it is now."""

    key: str
    """Names it: `<group>:<thing>`, such as `dead-letters:poison-jobs`. It must be fit for the key of a table row."""
    summary: str
    """In one sentence, with nothing sensitive."""
    figures: Mapping[str, Any]


@dataclass(frozen=True)
class Alert:
    """A row: a condition that was raised, and cleared when `cleared_at` says so."""

    key: str
    summary: str
    figures: Mapping[str, Any]
    raised_at: str
    gone_since: str | None
    """When it was seen first that the condition is gone; None while it is there."""
    cleared_at: str | None
    untold: tuple[tuple[str, str], ...]
    """What is still to be told: Raised or Cleared, and by which channel."""
    told_until: str
    """Until then somebody is telling."""
    tag: str

    @property
    def is_active(self) -> bool:
        return self.cleared_at is None

    @property
    def is_held(self) -> bool:
        """Whether somebody is telling of it. Changed meanwhile, it would be told twice, or its end after its return.

        Nobody holds it for longer than TELLING: then a clock was put back.
        """
        now = clock.now()
        return bool(self.untold) and written(now) <= self.told_until <= written(now + TELLING)

    def to_dict(self) -> dict[str, Any]:
        """As an operator sees it."""
        gone = {"goneSince": self.gone_since} if self.gone_since else {}
        return {"alert": self.key, "summary": self.summary, "since": self.raised_at, **gone, **self.figures}

    def notice(self, change: str) -> Notice:
        """What is told of its being raised or cleared: the same whenever it is told."""
        time = self.raised_at if change == RAISED else (self.cleared_at or self.raised_at)
        return Notice(change, self.key, self.summary, self.figures, self.raised_at, time)


async def active() -> list[Alert]:
    """The alerts that have not been cleared."""
    return [alert for alert in await _all() if alert.is_active]


async def settle(examined: Iterable[str], found: Iterable[Condition]) -> list[str]:
    """Raise what was found, clear what has long not been, and tell it. Returns the keys of all active alerts.

    `examined`: the groups that were looked into. Alerts of others stay as they are.
    """
    groups = set(examined)
    rows = {alert.key: alert for alert in await _all()}
    conditions = {condition.key: condition for condition in found}
    for condition in conditions.values():
        known = rows.get(condition.key)
        if known is None or not (known.is_active or known.is_held):
            await _raise(condition, known)
    for alert in rows.values():
        if not alert.is_held:
            is_gone = alert.key not in conditions and alert.key.partition(":")[0] in groups
            await _follow(alert, is_there=alert.key in conditions, is_gone=is_gone)
    return sorted(alert.key for alert in await active())


async def _raise(condition: Condition, known: Alert | None) -> None:
    now = clock.now()
    untold = [(RAISED, channel) for channel in alert_channels.configured()]
    row = {
        **_keys(condition.key),
        "state": RAISED,
        "summary": condition.summary,
        "figures": json.dumps(condition.figures),
        "raisedAt": written(now),
        "untold": json.dumps(untold),
        "toldUntil": written(now + TELLING),
    }
    try:
        if known is None:
            tag = (await _table().create_entity(row))["etag"]
        else:
            tag = (await _table().update_entity(row, mode=UpdateMode.REPLACE, **if_match(known.tag)))["etag"]
    except (ResourceExistsError, ResourceModifiedError):
        # Another watch was quicker, and tells it.
        return
    telemetry.alert(condition.key, condition.summary, condition.figures)
    await _tell(_alert_of(row, tag))


async def _follow(alert: Alert, *, is_there: bool, is_gone: bool) -> None:
    """Do with a row that nobody holds what is to be done now. Neither there nor gone: nobody has looked."""
    current: Alert | None = alert
    if alert.is_active and is_gone:
        if _is_gone_long(alert):
            await _clear(alert)
            return
        if not alert.gone_since:
            current = await _note_gone(alert, written(clock.now()))
    elif alert.is_active and is_there and alert.gone_since:
        current = await _note_gone(alert, None)
    if current and current.untold:
        await _tell_again(current)


def _is_gone_long(alert: Alert) -> bool:
    now = clock.now()
    since = datetime.fromisoformat(alert.gone_since) if alert.gone_since else now
    quiet = timedelta(seconds=settings().alert_quiet_time)
    # Also when it will be gone long from now: the clock was put back.
    return abs(now - since) >= quiet - min(EARLY, quiet / 2)


async def _note_gone(alert: Alert, since: str | None) -> Alert | None:
    """Enter since when the condition is gone, None when it is back. None when somebody was quicker."""
    return await _change(alert, {"untold": list(alert.untold), "goneSince": since or ""})


async def _clear(alert: Alert) -> None:
    now = clock.now()
    # What was raised and not told goes out first, so that nobody hears of the end of what they never heard of.
    untold = [*alert.untold, *((CLEARED, channel) for channel in alert_channels.configured())]
    changes = {"state": CLEARED, "clearedAt": written(now), "untold": untold, "toldUntil": written(now + TELLING)}
    if cleared := await _change(alert, changes):
        telemetry.alert_cleared(alert.key, alert.summary, alert.raised_at)
        await _tell(cleared)


async def _tell_again(alert: Alert) -> None:
    if held := await _change(alert, {"untold": list(alert.untold), "toldUntil": written(clock.now() + TELLING)}):
        await _tell(held)


async def _tell(alert: Alert) -> None:
    """Tell what is untold of a row that this watch holds, and enter what could not be told."""
    left = []
    for change, channel in alert.untold:
        try:
            await alert_channels.tell(channel, alert.notice(change))
        except JobError as error:
            telemetry.alert_untold(alert.key, channel, error)
            left.append((change, channel))
    await _change(alert, {"untold": left, "toldUntil": written(clock.now())})


async def _change(alert: Alert, changes: dict[str, Any]) -> Alert | None:
    """Change the row if it is as it was read. None when somebody was quicker."""
    row = {**_keys(alert.key), **changes, "untold": json.dumps(changes["untold"])}
    try:
        changed = await _table().update_entity(row, mode=UpdateMode.MERGE, **if_match(alert.tag))
    except ResourceModifiedError:
        return None
    known = {"summary": alert.summary, "figures": json.dumps(alert.figures), "raisedAt": alert.raised_at}
    known |= {"goneSince": alert.gone_since, "clearedAt": alert.cleared_at, "toldUntil": alert.told_until}
    return _alert_of(known | row, changed["etag"])


async def _all() -> list[Alert]:
    rows = _table().query_entities("PartitionKey eq @partition", parameters={"partition": PARTITION})
    return [_read(row, row.metadata["etag"]) async for row in rows]


def _read(row: Mapping[str, Any], tag: str) -> Alert:
    """A row as it is stored; one that somebody has damaged counts as cleared, and is replaced when it is raised."""
    try:
        return _alert_of(row, tag)
    except (KeyError, TypeError, ValueError):
        return Alert(row["RowKey"], "", {}, "", gone_since=None, cleared_at="", untold=(), told_until="", tag=tag)


def _alert_of(row: Mapping[str, Any], tag: str) -> Alert:
    return Alert(
        key=row["RowKey"],
        summary=row["summary"],
        figures=json.loads(row["figures"]),
        raised_at=row["raisedAt"],
        gone_since=_moment(row.get("goneSince")),
        cleared_at=row.get("clearedAt"),
        untold=tuple((change, channel) for change, channel in json.loads(row["untold"])),
        told_until=row["toldUntil"],
        tag=tag,
    )


def _moment(text: str | None) -> str | None:
    """A moment that can be reckoned with, or None. Raises ValueError, TypeError."""
    return written(datetime.fromisoformat(text)) if text else None


def _keys(key: str) -> dict[str, str]:
    return {"PartitionKey": PARTITION, "RowKey": key}


def _table() -> TableClient:
    return clients().table("alerts")
