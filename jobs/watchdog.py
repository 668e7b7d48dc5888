"""The watchdog: each minute it looks at schedules, jobs, dead letters and queues, and finishes what a crash left.

A crash may leave a letter sent and not yet dead-lettered, a job failed and without a letter, or its end untold.
Somebody else may be finishing the same at the same time: both come to the same.
"""

from __future__ import annotations

from collections.abc import Awaitable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from azure.durable_functions import DurableOrchestrationClient

from jobs import alerts, backlogs, mover, schedule_watch, stragglers, telemetry
from jobs.alerts import Condition
from jobs.backlogs import Depth

UNHURRIED = timedelta(minutes=1)
"""For so long a failed job is left to be buried by whoever did it."""
BLIND = "blind"
"""The group of alerts for what the watchdog could not look into."""


@dataclass(frozen=True)
class Report:
    """What the watchdog saw and did."""

    dead_letters: tuple[Depth, ...]
    queues: tuple[Depth, ...]
    moved: int
    """Letters whose move it finished."""
    buried: int
    """Jobs that had failed and had no letter."""
    ended: int
    """Jobs whose orchestration had stopped without entering their end."""
    handed_over: int
    """Jobs that had ended, and of which nobody had handed over that it is to be told."""
    alerts: tuple[str, ...]
    """All that are active."""

    def to_dict(self) -> dict[str, Any]:
        """As it is logged."""
        return {
            "deadLetters": [each.to_dict() for each in self.dead_letters],
            "queues": [each.to_dict() for each in self.queues],
            "moved": self.moved,
            "buried": self.buried,
            "ended": self.ended,
            "handedOver": self.handed_over,
            "alerts": list(self.alerts),
        }


class Watch:
    """One watch: what it looked into, and what it found."""

    def __init__(self) -> None:
        self.examined: list[str] = [BLIND]
        self.found: list[Condition] = []

    async def look(self, work: Awaitable[Any], what: str) -> Any:
        """What the work finds, or None if it cannot: then that is an alert, and the rest is looked at all the same."""
        try:
            return await work
        except Exception as error:
            # Whatever it is: who else would tell of it?
            telemetry.watch_failed(what, error)
            self.found.append(
                Condition(f"{BLIND}:{what}", f"the watchdog cannot look at {what}", {"error": type(error).__name__})
            )
            return None

    def conclude(self, groups: list[str], conditions: list[Condition]) -> None:
        """Enter what was found in groups that were looked into."""
        self.examined += groups
        self.found += conditions


async def run(durable: DurableOrchestrationClient) -> None:
    """What its timer does each minute."""
    await watch(durable=durable)


async def watch(unhurried: timedelta = UNHURRIED, *, durable: DurableOrchestrationClient | None = None) -> Report:
    """Finish what was left half done, look at everything once, and settle the alerts.

    It takes some thirty requests to storage and six to the Service Bus, however many jobs and dead letters there are,
    besides what is finished; and one to Durable for each job that has not ended, eighty at most.
    `durable`: without it nothing is known of orchestrations that have stopped.
    """
    current = Watch()
    if (schedules := await current.look(schedule_watch.outlooks(), "schedules")) is not None:
        current.conclude([schedule_watch.SCHEDULE], schedule_watch.conditions(schedules))

    swept = await current.look(stragglers.sweep(unhurried, durable), "jobs")
    if swept:
        current.conclude([stragglers.UNFINISHED], swept.hindrances())
        if swept.is_over:
            current.conclude([stragglers.OVERDUE, stragglers.STALLED, stragglers.DAMAGED], swept.conditions())

    moved = await current.look(mover.finish_all(), "half-made dead letters")
    if (dead := await current.look(backlogs.dead_letters(), "dead letters")) is not None:
        current.conclude([backlogs.DEAD_LETTERS], backlogs.dead_letter_alerts(dead))

    waiting = await current.look(_queues(), "queues")
    if waiting is not None:
        current.conclude([backlogs.QUEUE], backlogs.queue_alerts(waiting))

    active = await alerts.settle(current.examined, current.found)
    report = Report(
        dead_letters=tuple(dead or ()),
        queues=tuple(waiting or ()),
        moved=moved or 0,
        buried=swept.finisher.buried if swept else 0,
        ended=swept.finisher.ended if swept else 0,
        handed_over=swept.finisher.handed_over if swept else 0,
        alerts=tuple(active),
    )
    telemetry.watched(report.to_dict())
    return report


async def _queues() -> list[Depth]:
    return [*await backlogs.storage_queues(), await backlogs.bus_queue()]
