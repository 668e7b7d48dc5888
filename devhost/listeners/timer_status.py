"""The status of a timer: what it ran last and what is next, in the blob where the real host keeps it (§6)."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass, replace
from datetime import MAXYEAR, UTC, datetime, tzinfo
from typing import TYPE_CHECKING, Any

from devhost.dotnet_time import json_text
from devhost.schedule import Schedule
from devhost.singleton import HOSTS_CONTAINER
from devhost.storage.errors import StorageError

if TYPE_CHECKING:
    from devhost.host import Host

_log = logging.getLogger("devhost.timers")

NEVER = datetime(1, 1, 2, tzinfo=UTC)
"""Moments up to this one mean: not yet. The real host writes .NET's first moment."""
_NEVER_TEXT = "0001-01-01T00:00:00+00:00"


@dataclass(frozen=True, slots=True)
class ScheduleStatus:
    """What the real host keeps of a timer; aware moments, `NEVER` where there is none."""

    last: datetime
    next: datetime
    last_updated: datetime

    def document(self, zone: tzinfo) -> dict[str, str]:
        """As it is stored and as functions are given it: local times with their offsets."""
        moments = {"Last": self.last, "Next": self.next, "LastUpdated": self.last_updated}
        return {name: _text(moment, zone) for name, moment in moments.items()}

    @classmethod
    def of(cls, document: Any) -> ScheduleStatus:
        """Read again. Raises ValueError, TypeError or KeyError."""
        return cls(*(_moment(document[name]) for name in ("Last", "Next", "LastUpdated")))

    def checked(self, schedule: Schedule, now: datetime) -> ScheduleStatus:
        """The status to go on with: itself, unless the schedule has changed since; then nothing of it is past due."""
        base = next((moment for moment in (self.last, self.last_updated) if moment > NEVER), now)
        expected = schedule.next(base)
        if self.next == expected:
            return self
        if now > expected:
            base, expected = now, schedule.next(now)
        return replace(self, last=NEVER, next=expected, last_updated=base)


class StatusBlob:
    """Where the status of one function is kept."""

    def __init__(self, host: Host, function_name: str, zone: tzinfo) -> None:
        """Raises what StorageAccounts.account raises."""
        self.service = host.storage.blob_service()
        self._name = f"timers/{host.id}/Host.Functions.{function_name}/status"
        self._zone = zone

    async def read(self) -> ScheduleStatus | None:
        """The status; None if none was stored, or what is stored is none. Raises what BlobService.read does but 404."""
        try:
            blob = await self.service.read(HOSTS_CONTAINER, self._name)
        except StorageError as error:
            if error.status != 404:
                raise
            return None
        try:
            return ScheduleStatus.of(json.loads(blob.content))
        except (ValueError, TypeError, KeyError, OverflowError, RecursionError) as error:
            _log.warning("The status in the blob %s cannot be read and is made anew: %r", self._name, error)
            return None

    async def save(self, status: ScheduleStatus) -> None:
        """Store the status. Raises what BlobService.write does."""
        await self.service.write(HOSTS_CONTAINER, self._name, json.dumps(status.document(self._zone)).encode())


def _text(moment: datetime, zone: tzinfo) -> str:
    return json_text(moment, zone) if moment > NEVER else _NEVER_TEXT


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    if moment.year == 1:  # which its offset might take out of what Python can count
        return NEVER
    if moment.year == MAXYEAR:
        raise ValueError(f"nothing comes after {text}")
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
