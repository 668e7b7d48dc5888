"""Schedules: what a timer does when it fires, once for each of its occurrences, and for those that it missed."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from azure.durable_functions import DurableOrchestrationClient

from jobs import clock, intake, schedule_book, watchdog
from jobs.clients import clients
from jobs.errors import InvalidInputError, JobError, ScheduleNotFoundError
from jobs.job import Envelope, parse
from jobs.timetable import SCHEDULES, Schedule

EARLY = timedelta(minutes=1)
"""A host's clock may be so much ahead of this process's."""

LONGEST_AGO = timedelta(days=366)
"""So old an occurrence may be that somebody asks for by name."""

ROUTINES: dict[str, Callable[[DurableOrchestrationClient], Awaitable[Any]]] = {"watchdog": watchdog.run}
"""What is done at once, by schedule; the others submit a job."""


@dataclass(frozen=True)
class Tick:
    """One firing of a timer."""

    scheduled_at: datetime
    """The occurrence that is run, in UTC."""
    past_due: bool = False
    """The host has missed it, and perhaps later ones too: it fires once for all of them (functions-host.md §6)."""


def tick_of(name: str, status: Mapping[str, str] | None, past_due: bool) -> Tick:
    """What the host says of a firing. `status`: its ScheduleStatus, whose Next is the occurrence that is run.

    Somebody who runs the function by hand leaves Next in the future, or says nothing: then it is the newest occurrence.
    """
    now = clock.now()
    if status and (text := status.get("Next")):
        moment = datetime.fromisoformat(text)
        moment = moment if moment.tzinfo else moment.replace(tzinfo=clock.zone())
        if moment <= now + EARLY:
            return Tick(moment, past_due)
    return Tick(next(SCHEDULES[name].until(now)), past_due)


@dataclass(frozen=True)
class Occurrence:
    """One occurrence of a schedule that somebody asked for, and what came of it."""

    schedule: Schedule
    scheduled_at: datetime
    job: str | None
    """The job that belongs to it, as `<kind>/<id>`."""
    is_new: bool
    """Whether nobody had begun it before."""


async def run_at(name: str, asked_for: datetime | None, durable: DurableOrchestrationClient) -> Occurrence:
    """Do what an outer scheduler asks for: the newest occurrence until that moment (None: now), as the timer does.

    So a scheduler that is some seconds late means the same occurrence as one that is punctual.
    Raises ScheduleNotFoundError, InvalidInputError, and what `run` raises.
    """
    schedule = SCHEDULES.get(name)
    if schedule is None:
        raise ScheduleNotFoundError(f"there is no such schedule; there are {', '.join(sorted(SCHEDULES))}")
    now = clock.now()
    if asked_for is not None and not now - LONGEST_AGO <= asked_for <= now + EARLY:
        message = "must be a moment of the past year, and not to come"
        raise InvalidInputError(f"scheduledAt: {message}", [{"field": "scheduledAt", "message": message}])
    moment = next(schedule.until(asked_for or now))
    begun = await run(name, Tick(moment), durable)
    job = schedule.job_at(moment.astimezone(clock.zone())) if schedule.kind else None
    return Occurrence(schedule, moment, f"{schedule.kind}/{job.id}" if job else None, is_new=moment in begun)


async def run(name: str, tick: Tick, durable: DurableOrchestrationClient) -> list[datetime]:
    """Do what is due: this occurrence, and those that were missed if each of them counts. Returns those that are new.

    Doing it again for the same occurrence does nothing, or submits the job that is there. Raises the first JobError,
    after all of them were tried.
    """
    schedule = SCHEDULES[name]
    await clients().provide()
    begun, errors = [], []
    for moment in await _due(schedule, tick):
        try:
            if await _run_one(schedule, moment, durable):
                begun.append(moment)
        except JobError as error:
            errors.append(error)
    if errors:
        raise errors[0]
    return begun


async def _due(schedule: Schedule, tick: Tick) -> list[datetime]:
    now = max(clock.now(), tick.scheduled_at)
    # Somebody may ask for a day of last year in an app that is new: of the days since, nobody has missed a run.
    head = await schedule_book.head(schedule, since=tick.scheduled_at if tick.past_due else None)
    if not schedule.makes_up:
        return [next(schedule.until(now)) if tick.past_due else tick.scheduled_at]
    open = await schedule_book.left_open(schedule, schedule.expected(head.since, now))
    by_identity = {schedule.identity(moment): moment for moment in [*open, tick.scheduled_at]}
    return sorted(by_identity.values())


async def _run_one(schedule: Schedule, moment: datetime, durable: DurableOrchestrationClient) -> bool:
    """Run one occurrence. Returns whether nobody had begun it before."""
    is_new = await schedule_book.begin(schedule, moment)
    if schedule.kind is None:
        # Not again: it is no job that could be known again, and the next occurrence is near.
        if is_new:
            await ROUTINES[schedule.name](durable)
            await schedule_book.complete(schedule, moment, None)
        return is_new
    # Whoever has begun it may have been killed before the job was there.
    wanted = schedule.job_at(moment.astimezone(clock.zone()))
    envelope = Envelope(kind=schedule.kind, id=wanted.id, input=wanted.input)
    entry = (await intake.submit(parse(envelope, source=f"timer:{schedule.name}"), durable)).entry
    await schedule_book.complete(schedule, moment, f"{entry.job.kind}/{entry.job.id}")
    return is_new
