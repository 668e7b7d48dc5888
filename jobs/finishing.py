"""Finishing: what a crash or an outage left of a job's end, done by the watchdog. What fails costs only itself."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from azure.core.exceptions import AzureError, HttpResponseError
from azure.durable_functions import DurableOrchestrationClient
from azure.durable_functions.models.DurableOrchestrationStatus import DurableOrchestrationStatus

from jobs import approvals, bodies, delivery, ending, status, telemetry, wakes
from jobs.catalog import KINDS
from jobs.entry import OPEN_COMPENSATIONS, RUNNING, Entry, Run
from jobs.errors import JobNotFoundError, ServiceBusUnavailableError, SettingMissingError, TransientError

BURIALS, DELIVERIES, ENDS = "dead-letters", "deliveries", "ends"
"""What is to be done: the dead letters of jobs that have failed, the hand-over of what is to be told, and ends of
orchestrations that have stopped."""
MOST_FAILURES = 5
"""So many jobs may fail for reasons of their own before no more are tried in this watch."""
MOST_NAMED = 5
"""Jobs that an alert names."""
PATIENCE = 30.0
"""Seconds that Durable has for all that one watch asks it. Whatever is wrong with it, alerts must not wait for long."""
OF_ONE_JOB = (400, 404, 409, 412, 413)
"""What storage answers when something is wrong with this row or blob only."""
UNKNOWN = "whatever had been done"
"""What stands in a job's open compensations when it was stopped from outside."""


class DurableUnavailableError(TransientError):
    """Durable could not be reached, or did not answer as it should."""


AWAY = (ServiceBusUnavailableError, SettingMissingError, DurableUnavailableError, AzureError)
"""What is wrong with all jobs when it is with one, unless storage says otherwise."""


@dataclass
class Group:
    """Jobs that an alert is about."""

    count: int = 0
    jobs: list[str] = field(default_factory=list)
    """A few of them."""

    def add(self, job: str) -> None:
        self.count += 1
        if len(self.jobs) < MOST_NAMED:
            self.jobs.append(job)


@dataclass
class Hindrance:
    """Why something is not done in this watch."""

    error: str
    """Its type."""
    left: Group = field(default_factory=Group)
    is_over: bool = False
    """Whether no more are tried."""


class Finisher:
    """What one watch finishes."""

    def __init__(self, durable: DurableOrchestrationClient | None) -> None:
        self._durable = durable
        self._waited = 0.0
        """Seconds, for Durable."""
        self.buried = 0
        self.ended = 0
        self.handed_over = 0
        self.hindrances: dict[str, Hindrance] = {}
        """By what is to be done."""

    async def bury(self, entry: Entry) -> None:
        """Bury a job that has failed, and tell how it has ended."""
        self.buried += await self._try(BURIALS, entry, lambda: ending.conclude(entry))

    async def hand_over(self, entry: Entry) -> None:
        """Hand over that the end of a job is to be told."""
        self.handed_over += await self._try(DELIVERIES, entry, lambda: delivery.hand_over(entry))

    def may_ask(self, entry: Entry) -> bool:
        """Whether Durable knows anything of the job."""
        kind = KINDS.get(entry.job.kind)
        return self._durable is not None and kind is not None and kind.orchestrator is not None

    async def end_if_stopped(self, entry: Entry, *, is_overdue: bool) -> bool:
        """Ask Durable about a job that `may_ask` allows; if its orchestration has stopped, enter its end and bury it.

        One that Durable does not know has stopped when it is overdue, not before: an app that is led to another task
        hub by mistake finds none, and their orchestrations go on when it is led back. Returns whether it has ended.
        """
        ended: list[Entry | None] = []

        async def end() -> None:
            live = await self._ask(entry)
            stopped = status.end_of(entry, live) if live or is_overdue else None
            if stopped:
                # Few have stopped, and an input may be large.
                live = await self._ask(entry, show_input=True)
                ended.append(await _end(entry, *stopped, live.input_ if live else None, self._durable))

        await self._try(ENDS, entry, end)
        self.ended += len(ended)
        for each in filter(None, ended):
            await self.bury(each)
        return bool(ended)

    async def _ask(self, entry: Entry, *, show_input: bool = False) -> DurableOrchestrationStatus:
        began = time.monotonic()
        try:
            async with asyncio.timeout(PATIENCE - self._waited):
                return await self._durable.get_status(entry.job.instance_id, show_input=show_input)
        except Exception as error:
            # Any trouble the SDK tells by a bare Exception.
            raise DurableUnavailableError(type(error).__name__) from error
        finally:
            self._waited += time.monotonic() - began

    async def _try(self, what: str, entry: Entry, act: Callable[[], Awaitable[None]]) -> bool:
        """Whether it is done. The Service Bus, Durable or storage that has not answered is asked for it no more."""
        hindrance = self.hindrances.get(what)
        if hindrance is None or not hindrance.is_over:
            try:
                await act()
                return True
            except JobNotFoundError:
                # Its row is gone, and with it what was to be done.
                return False
            except Exception as error:
                # Whatever it is, the jobs behind this one are none the worse.
                if hindrance is None:
                    hindrance = self.hindrances[what] = Hindrance(type(error).__name__)
                    telemetry.watch_failed(f"{what} of {entry.job.kind}/{entry.job.id}", error)
                hindrance.is_over = _is_away(error) or hindrance.left.count + 1 >= MOST_FAILURES
        hindrance.left.add(f"{entry.job.kind}/{entry.job.id}")
        return False


def _is_away(error: Exception) -> bool:
    if isinstance(error, HttpResponseError) and error.status_code in OF_ONE_JOB:
        return False
    return isinstance(error, AWAY)


async def _end(
    entry: Entry, state: str, error: dict[str, Any], arguments: Any, durable: DurableOrchestrationClient
) -> Entry | None:
    """Enter the end of a job whose orchestration has stopped without doing so. `arguments`: what that was started with.

    Returns the job as the ledger has it then, None when it was opened again since.
    """
    if KINDS[entry.job.kind].undoes and entry.state == RUNNING:
        # Nobody knows what is left open, so a replay must not do it twice.
        error = {**error, OPEN_COMPENSATIONS: [UNKNOWN]}
    if isinstance(arguments, str):
        arguments = json.loads(arguments)
    if arguments:
        await bodies.keep_job(entry.job, arguments["input"])
    if question := await approvals.withdraw(entry.job.instance_id):
        # Durable does not end what waits for the answer: it would go on to mail.
        await wakes.wake(question.instance_id, question.wake, durable)
    return await ending.enter(entry.job, Run(entry.started_at, entry.tag, entry.attempt), state, error=error)
