"""The watchdog: how many dead letters there are and how old, and what a crash left half done, done.

A crash may leave a letter sent and not yet dead-lettered, or a job failed and without a letter. Somebody else may be
finishing the same at the same time: both come to the same dead letter.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from azure.durable_functions import DurableOrchestrationClient

from jobs import dead_letters, failures, ledger, letters, mover, telemetry
from jobs.settings import settings

UNHURRIED = timedelta(minutes=1)
"""For so long a failed job is left to be buried by whoever did it."""


@dataclass(frozen=True)
class Depth:
    """The dead letters of one queue: how many, and how old the oldest is, in seconds."""

    queue: str
    depth: int = 0
    oldest: float | None = None

    @property
    def is_alarming(self) -> bool:
        """Whether a threshold of the settings is passed."""
        limits = settings()
        return self.depth > limits.dead_letter_alert_depth or (self.oldest or 0.0) > limits.dead_letter_alert_age


@dataclass(frozen=True)
class Report:
    """What the watchdog saw and did."""

    queues: tuple[Depth, ...]
    moved: int
    """Letters whose move it finished."""
    buried: int
    """Jobs that had failed and had no letter."""

    @property
    def alerts(self) -> list[str]:
        """The queues with too many dead letters, or too old ones."""
        return [each.queue for each in self.queues if each.is_alarming]

    def to_dict(self) -> dict[str, Any]:
        """As it is logged."""
        queues = [asdict(each) for each in self.queues]
        return {"queues": queues, "moved": self.moved, "buried": self.buried, "alerts": self.alerts}


async def run(durable: DurableOrchestrationClient) -> None:
    """What the timer does each minute."""
    await watch()


async def watch(unhurried: timedelta = UNHURRIED) -> Report:
    """Finish what was left half done, count, and raise an alert past the thresholds of the settings.

    It reads every dead letter and looks at every row of the ledger: run it every few minutes, not every second.
    Raises ServiceBusUnavailableError, SettingMissingError.
    """
    buried = await _bury_what_failed(ledger.written(datetime.now(UTC) - unhurried))
    moved = await mover.finish_all()
    queues = tuple([await _measure(queue) for queue in letters.QUEUES])
    report = Report(queues, moved, buried)
    telemetry.watched(report.to_dict())
    for each in queues:
        if each.is_alarming:
            telemetry.alert("dead letters wait for a person", **asdict(each))
    return report


async def _bury_what_failed(before: str) -> int:
    buried = 0
    async for entry in failures.unburied(before):
        await dead_letters.bury_job(entry)
        buried += 1
    return buried


async def _measure(queue: str) -> Depth:
    moments = [each.enqueued_at async for each in dead_letters.look(queue)]
    if not moments:
        return Depth(queue)
    age = datetime.now(UTC) - datetime.fromisoformat(min(moments))
    return Depth(queue, len(moments), round(age.total_seconds(), 1))
