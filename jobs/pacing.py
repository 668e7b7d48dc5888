"""Pacing: when many jobs of a kind come at once, their starts are spread, so that urgent ones overtake the rest.

Durable Functions runs all that has been started, and nothing there has priority. So some may begin at once, and what
comes beyond them begins one after the other: such a job waits in the ledger, and a message that the Service Bus holds
back starts it at its turn. Each process counts what it takes, so more instances begin more.

To be spread is a courtesy, and that a job is accepted is a promise: without a Service Bus it begins at once. The row
says the turn, so a job that is submitted again neither begins sooner nor gets another one.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from jobs import clock, delay, scheduled_messages, telemetry
from jobs.clients import Clients, clients
from jobs.entry import Entry, JobRef, written
from jobs.errors import ServiceBusUnavailableError, SettingMissingError
from jobs.settings import settings

if TYPE_CHECKING:
    from jobs.job import Job, Priority

PATIENCE = 5.0
"""Seconds that a sender may wait for a Service Bus that does not answer."""
RESPITE = timedelta(seconds=30)
"""So long nothing is held back after the Service Bus was found to be away: to find that out takes seconds."""
_LONG_AGO = datetime.min.replace(tzinfo=UTC)


class Pace:
    """The turns of the jobs of one kind: a bucket of as many tokens as may begin at once, which fills by and by."""

    def __init__(self) -> None:
        self._missing = timedelta()
        """So long it takes to fill, from the moment at which it was seen last."""
        self._seen_at = _LONG_AGO

    def next_turn(self, at_once: int, per_second: float) -> datetime:
        """Take a turn, and return its moment: now, or later."""
        interval, now = timedelta(seconds=1 / per_second), clock.now()
        # A clock that is put back makes nobody wait until it has come as far again.
        passed, self._seen_at = max(timedelta(), now - self._seen_at), now
        self._missing = max(timedelta(), self._missing - passed) + interval
        return now + max(timedelta(), self._missing - at_once * interval)

    def give_back(self, per_second: float) -> None:
        """A turn that was taken is not needed."""
        self._missing = max(timedelta(), self._missing - timedelta(seconds=1 / per_second))


class Pacer:
    """The paces of one event loop, by kind."""

    def __init__(self) -> None:
        self.paces: defaultdict[str, Pace] = defaultdict(Pace)
        self.suspended_until = _LONG_AGO

    @property
    def is_suspended(self) -> bool:
        return clock.now() < self.suspended_until


def take_turn(job: Job) -> str | None:
    """The moment at which it is the job's turn, as the ledger writes it. None: it may begin at once.

    What is urgent may, and others wait the longer for it.
    """
    if not _takes_turns(job):
        return None
    turn = _pacer().paces[job.kind.name].next_turn(*job.kind.pace(settings()))
    return None if job.priority == "urgent" or turn <= clock.now() else written(turn)


def give_back(job: Job) -> None:
    """The turn that was taken for the job, now or later, is not needed: it has been there before, or is refused."""
    if _takes_turns(job):
        _pacer().paces[job.kind.name].give_back(job.kind.pace(settings())[1])


def _takes_turns(job: Job) -> bool:
    """What begins at once since the Service Bus is away must not make others wait when it is back."""
    if job.kind.pace is None or not settings().has_service_bus or delay.is_early(job.ref):
        return False
    return not _pacer().is_suspended


def must_wait(entry: Entry, priority: Priority) -> bool:
    """Whether it is not yet the job's turn. Submitted again as urgent, it waits no longer."""
    if entry.held_until is None or priority == "urgent":
        return False
    return datetime.fromisoformat(entry.held_until) > clock.now()


async def hold_back(job: JobRef, turn: str, message: bytes) -> bool:
    """Have the message start the job at its turn. False when the Service Bus is away: begin it at once, then."""
    pacer = _pacer()
    if pacer.is_suspended:
        return False
    try:
        async with asyncio.timeout(PATIENCE):
            await scheduled_messages.send_with_others(
                scheduled_messages.message(job, message, datetime.fromisoformat(turn))
            )
    except (ServiceBusUnavailableError, SettingMissingError, TimeoutError) as error:
        if not pacer.is_suspended:
            telemetry.pacing_suspended(error)
        pacer.suspended_until = clock.now() + RESPITE
        return False
    telemetry.job_held_back(job, turn)
    return True


def _pacer() -> Pacer:
    shared = clients()
    if shared not in _pacers:
        _pacers[shared] = Pacer()
        shared.before_closing(lambda: _forget(shared))
    return _pacers[shared]


async def _forget(shared: Clients) -> None:
    del _pacers[shared]


_pacers: WeakKeyDictionary[Clients, Pacer] = WeakKeyDictionary()
