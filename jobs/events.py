"""The events of jobs: that they have started, progressed and ended, for whoever has a subscription of `job-events`.

They tell where a job is, never what it is about: neither its input nor its result.
"""

from __future__ import annotations

from typing import Any

from jobs import clock, telemetry
from jobs.cloud_events import Event
from jobs.entry import RUNNING, Entry, JobRef, seconds_between, written
from jobs.event_stream import stream
from jobs.settings import settings

STARTED, PROGRESSED = "started", "progressed"
"""Labels; those of the others are `completed`, `failed`, `cancelled`."""
LONGEST_MESSAGE = 1000
"""Characters of an error's message that are told."""


def started(job: JobRef, at: str) -> None:
    """Tell that the job has begun, at that moment (as the ledger writes it), before long. Never waits, never raises."""
    _put(job, STARTED, at, f"{at}.{STARTED}", waitSeconds=seconds_between(job.due_at, at))


def progressed(job: JobRef, step: str, percent: int) -> None:
    """Tell that the job has done a step, and so much of it all, before long. Never waits, never raises."""
    _put(job, PROGRESSED, written(clock.now()), f"{step}.{percent}", step=step, percent=percent)


async def ended(entry: Entry) -> None:
    """Tell how the job has ended, and return when the Service Bus has it. Does nothing in an app that has none.

    Told twice, it is the same event. Raises ServiceBusUnavailableError, SettingMissingError.
    """
    if not settings().has_service_bus:
        return
    figures: dict[str, Any] = {"waitSeconds": entry.wait_seconds, "runSeconds": entry.run_seconds}
    if entry.error:
        figures["error"] = entry.error | {"message": entry.error.get("message", "")[:LONGEST_MESSAGE]}
    label = entry.state.lower()
    at = entry.completed_at or ""
    await stream().send(_event(entry.job, label, at, f"{at}.{label}", entry.state, figures))


def _put(job: JobRef, label: str, at: str, moment: str, **figures: Any) -> None:
    try:
        if settings().has_service_bus:
            stream().put(_event(job, label, at, moment, RUNNING, figures))
    except Exception as error:
        # Whatever is wrong with it, a job goes on.
        telemetry.events_untold(error)


def _event(job: JobRef, label: str, at: str, moment: str, state: str, figures: dict[str, Any]) -> Event:
    """`moment`: what tells this event from all others of the job's run."""
    about = {"kind": job.kind, "id": job.id, "correlationId": job.correlation_id, "status": state}
    return Event(
        label=label,
        type=f"nightshift.job.{label}",
        source=f"nightshift/jobs/{job.kind}",
        subject=job.id,
        id=f"{job.instance_id}@{moment}",
        time=at,
        data=about | figures,
        correlation_id=job.correlation_id,
    )
