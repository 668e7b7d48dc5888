"""What the ledger says of a job: who it is, how far it has come, how it ended."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

PENDING, RUNNING = "Pending", "Running"
WAITING = "Waiting"
"""What a status calls a job that is Running, and waits for something outside the app."""
COMPLETED, FAILED, CANCELLED = "Completed", "Failed", "Cancelled"
FINAL = (COMPLETED, FAILED, CANCELLED)
STATES = (PENDING, RUNNING, *FINAL)
OPEN_COMPENSATIONS = "openCompensations"
"""What of a job's error names the undos that failed."""
Deliveries = dict[str, dict[str, Any]]
"""By channel, how far the telling of an outcome is (see `jobs.channels`)."""


@dataclass(frozen=True)
class JobRef:
    """What travels instead of the job: who it is and where the rest lies. Plain JSON values, nothing sensitive."""

    kind: str
    id: str
    correlation_id: str
    submitted_at: str
    claim: str | None = None
    """The blob that holds the input, when it must not travel (see `jobs.claim_check`)."""
    tag: str | None = None
    """The row's ETag while nobody has begun the job: whoever begins it need not read the row first."""
    source: str = "http"
    """The door by which it came: `http`, `storage:<queue>`, `servicebus:<queue>`, `blob:<container>/<name>` or
    `timer:<schedule>`."""
    reply_to: str | None = None
    """The queue in which the sender waits for a reply."""
    run: int = 1
    """Rises when a job that was undone is run again, so that its effects can happen again."""
    not_before: str | None = None
    """The moment before which it must not start, when its sender named one (see `jobs.delay`)."""
    calls_back: bool = False
    """Whether its row has a URL to which its outcome is told. It may hold a token, so it stays in the row."""

    @property
    def due_at(self) -> str:
        """The moment from which on it waits for its start."""
        return max(self.submitted_at, self.not_before or "")

    @property
    def instance_id(self) -> str:
        """The id of the job's Durable instance, and the root of its idempotency keys."""
        return self.of_run(f"{self.kind}-{self.id}")

    def of_run(self, name: str) -> str:
        """The name, as it is in this run of the job. No id holds a `~`, so no two runs share a name."""
        return name if self.run == 1 else f"{name}~{self.run}"


@dataclass(frozen=True)
class Entry:
    """A row of the ledger. Times are ISO 8601 in UTC with microseconds, so that they sort as text."""

    job: JobRef
    tag: str
    """The row's ETag."""
    state: str
    digest: str | None
    """Of its input; None when the row was not read, but written."""
    started_at: str | None = None
    completed_at: str | None = None
    held_until: str | None = None
    """Its turn to begin, when many came at once (see `jobs.pacing`)."""
    runner: str | None = None
    attempt: int = 1
    result: Any = None
    result_blob: str | None = None
    error: dict[str, Any] | None = None
    is_buried: bool = False
    """Whether its failure has a dead letter: see `jobs.dead_letters`."""
    reopened_by: str | None = None
    """The failure after which it was opened again."""
    waiting_for: str | None = None
    """What outside the app it waits for, while it is Running: a person, a carrier."""
    overdue_at: str | None = None
    """The moment past which it is late, when that is not its kind's deadline after its start."""
    callback_url: str | None = None
    reply_correlation_id: str | None = None
    """By which the sender knows the reply: the id of the message that brought the job, if one did."""
    reply_session: str | None = None
    """The session in which the sender waits for the reply."""
    deliveries: Deliveries = field(default_factory=dict)
    is_owed: bool = False
    """Whether some of that is still to be handed over (see `jobs.delivery`)."""

    @property
    def is_final(self) -> bool:
        return self.state in FINAL

    @property
    def is_waiting(self) -> bool:
        """Whether it waits for something outside the app."""
        return self.state == RUNNING and self.waiting_for is not None

    @property
    def ending(self) -> str | None:
        """Names this end of the job, as no other end of any job is named; None unless it has ended."""
        return f"{self.job.instance_id}@{self.completed_at}" if self.is_final else None

    @property
    def failure(self) -> str | None:
        """The same, None unless it has failed."""
        return self.ending if self.state == FAILED else None

    @property
    def wait_seconds(self) -> float | None:
        """From the submission to the start, or from the moment before which it must not start."""
        return seconds_between(self.job.due_at, self.started_at)

    @property
    def run_seconds(self) -> float | None:
        """From the start to the end."""
        return seconds_between(self.started_at, self.completed_at)


@dataclass(frozen=True)
class Run:
    """A job that has begun: what `end` needs to know so as not to read the row again. Without its ETag it must."""

    started_at: str | None
    tag: str | None
    attempt: int = 1


def seconds_between(start: str | None, end: str | None) -> float | None:
    """Seconds from one moment to another, never below 0; None unless both are known."""
    if start is None or end is None:
        return None
    return round(max(0.0, (datetime.fromisoformat(end) - datetime.fromisoformat(start)).total_seconds()), 3)


def written(moment: datetime) -> str:
    """A moment (with a time zone) as the ledger writes it."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
