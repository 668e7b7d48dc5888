"""Structured log lines: one JSON object a line, exactly one at a job's start and one at its end."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jobs.errors import JobError
    from jobs.ledger import JobRef
    from jobs.letters import Letter

logger = logging.getLogger("nightshift")

# The Azure SDK writes every request and answer at Information, a dozen lines each, and each state of an AMQP link.
for noisy in ("azure.core.pipeline.policies.http_logging_policy", "azure.servicebus"):
    logging.getLogger(noisy).setLevel(logging.WARNING)

_context: ContextVar[Mapping[str, Any]] = ContextVar("telemetry", default=MappingProxyType({}))


@contextmanager
def about(job: JobRef, **fields: Any) -> Iterator[None]:
    """Every event inside the block names the job: kind, id and correlation id, and whatever `fields` add."""
    token = _context.set({"kind": job.kind, "id": job.id, "correlationId": job.correlation_id, **fields})
    try:
        yield
    finally:
        _context.reset(token)


def job_delayed(job: JobRef) -> None:
    """The job waits for the moment before which it must not start."""
    with about(job):
        _event(logging.INFO, "JobDelayed", notBefore=job.not_before)


def job_held_back(job: JobRef, until: str) -> None:
    """Many jobs of its kind came at once, and it waits for its turn."""
    with about(job):
        _event(logging.INFO, "JobHeldBack", heldUntil=until)


def pacing_suspended(error: Exception) -> None:
    """The Service Bus is away: for a while jobs begin as they come."""
    _event(logging.WARNING, "PacingSuspended", error=type(error).__name__)


def job_started(job: JobRef, *, wait_seconds: float, attempt: int) -> None:
    """The job has begun. `wait_seconds`: since it was submitted, or since the moment before which it must not start."""
    with about(job):
        _event(logging.INFO, "JobStarted", waitSeconds=wait_seconds, attempt=attempt)


def job_ended(
    job: JobRef, outcome: str, *, wait_seconds: float | None, run_seconds: float | None, attempt: int, error: Any = None
) -> None:
    """The job has ended: `outcome` is Completed, Failed or Cancelled, and the event's name is Job + outcome."""
    level = logging.INFO
    if error:
        # Something that could not be undone needs a person.
        level = logging.ERROR if "openCompensations" in error else logging.WARNING
    fields = {"outcome": outcome, "waitSeconds": wait_seconds, "runSeconds": run_seconds, "attempt": attempt}
    with about(job):
        _event(level, f"Job{outcome}", **fields, **({"error": error} if error else {}))


def step_failed(error: JobError, *, attempt: int) -> None:
    """One try of one step did not succeed."""
    _event(logging.WARNING, "StepFailed", attempt=attempt, error=error.to_dict())


def order_event_applied() -> None:
    """A change of an order was made; `about` says which."""
    _event(logging.INFO, "OrderEventApplied")


def order_event_ignored(newest: int) -> None:
    """A change of an order was not made, since one with the sequence number `newest` was before."""
    _event(logging.INFO, "OrderEventIgnored", newest=newest)


def dead_lettered(letter: Letter) -> None:
    """Something failed for good, and rests in a dead-letter queue."""
    said = {"reason": letter.reason, "source": letter.source, "messageId": letter.message_id, "kind": letter.kind}
    said |= {"id": letter.job_id, "correlationId": letter.correlation_id, "attempts": letter.attempts}
    said |= {"errorType": letter.error_type, "description": letter.description}
    _event(logging.ERROR, "DeadLettered", **{name: value for name, value in said.items() if value is not None})


def letter_settled(event: str, letter_id: str, letter: Letter, where: str | None) -> None:
    """An operator had a dead letter replayed or discarded: `event` is LetterReplayed or LetterDiscarded."""
    said = {"letter": letter_id, "reason": letter.reason, "kind": letter.kind, "id": letter.job_id, "where": where}
    _event(logging.INFO, event, **{name: value for name, value in said.items() if value is not None})


def burial_postponed(error: JobError) -> None:
    """The Service Bus is away; what is to be buried waits in a poison queue."""
    _event(logging.WARNING, "BurialPostponed", error=error.to_dict())


def move_unfinished(error: Exception) -> None:
    """Letters were sent, and could not be moved to the dead-letter queue: the next mover or the watchdog does it."""
    _event(logging.WARNING, "MoveUnfinished", error=type(error).__name__)


def delivery_postponed(job: JobRef, error: JobError) -> None:
    """The Service Bus is away; how the job has ended is told later, when the watchdog finds it owed."""
    with about(job):
        _event(logging.WARNING, "DeliveryPostponed", error=error.to_dict())


def delivery_ignored(kind: str, id: str, channel: str, why: str) -> None:
    """A message about the outcome of a job was not needed any more."""
    _event(logging.INFO, "DeliveryIgnored", kind=kind, id=id, channel=channel, why=why)


def delivered(*, attempt: int) -> None:
    """The outcome of a job was told; `about` says by which channel."""
    _event(logging.INFO, "Delivered", attempt=attempt)


def delivery_failed(error: JobError, *, attempt: int, state: str) -> None:
    """One try to tell the outcome of a job failed. `state`: Pending when another will follow, else Failed."""
    _event(logging.WARNING, "DeliveryFailed", attempt=attempt, state=state, error=error.to_dict())


def poison_ignored(source: str, message_id: str, why: str) -> None:
    """A message that kept failing was not needed any more."""
    _event(logging.INFO, "PoisonIgnored", source=source, messageId=message_id, why=why)


def upload_ignored(source: str, why: str) -> None:
    """The host told of a blob that became no job."""
    _event(logging.INFO, "UploadIgnored", source=source, why=why)


def events_untold(error: Exception) -> None:
    """Events of jobs cannot be told; what happens from now on is counted, and told of when they can be again."""
    _event(logging.WARNING, "EventsUntold", error=type(error).__name__, message=str(error))


def events_told_again(lost: int) -> None:
    """Events of jobs can be told again; so many are lost."""
    _event(logging.WARNING, "EventsToldAgain", lost=lost)


def parcel_heard_of(parcel: str, sequence: int, *, is_news: bool) -> None:
    """A webhook told that a parcel has moved. `is_news`: its customer does not know all of it yet."""
    _event(logging.INFO, "ParcelHeardOf", parcel=parcel, sequence=sequence, isNews=is_news)


def webhook_ignored(webhook_id: str, why: str) -> None:
    """Somebody told what the app has no use for."""
    _event(logging.INFO, "WebhookIgnored", webhookId=webhook_id, why=why)


def wake_lost(instance_id: str, error: Exception) -> None:
    """An instance could not be called to look: it looks when its time has come."""
    _event(logging.WARNING, "WakeLost", instance=instance_id, error=type(error).__name__)


def watched(report: Mapping[str, Any]) -> None:
    """What the watchdog saw and did."""
    _event(logging.INFO, "Watched", **report)


def alert(key: str, summary: str, figures: Mapping[str, Any]) -> None:
    """A condition that calls for a person was raised."""
    _event(logging.ERROR, "Alert", alert=key, summary=summary, **figures)


def alert_cleared(key: str, summary: str, raised_at: str) -> None:
    """The condition is no more."""
    _event(logging.WARNING, "AlertCleared", alert=key, summary=summary, since=raised_at)


def alert_untold(key: str, channel: str, error: JobError) -> None:
    """An alert could not be told by one channel: the next watch tries again."""
    _event(logging.WARNING, "AlertUntold", alert=key, channel=channel, error=error.to_dict())


def watch_failed(what: str, error: Exception) -> None:
    """The watchdog could not look into something; its alerts stay as they are."""
    _event(logging.ERROR, "WatchFailed", what=what, error=type(error).__name__)


def _event(level: int, name: str, **fields: Any) -> None:
    logger.log(level, json.dumps({"event": name, **_context.get(), **fields}))
