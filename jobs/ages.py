"""Ages: what is so old that it may go. What failed stays longer, so that somebody can look into it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from jobs import clock
from jobs.entry import CANCELLED, COMPLETED, FAILED, Entry
from jobs.ledger import written
from jobs.settings import settings


@dataclass(frozen=True)
class Ages:
    """The moments before which a thing must have ended."""

    finished: datetime
    """For what went well or was cancelled."""
    failed: datetime
    """For what failed, and for what nobody knows how it ended."""

    def is_past(self, entry: Entry) -> bool:
        """Whether a job ended so long ago. One that has not ended never did."""
        cut = {COMPLETED: self.finished, CANCELLED: self.finished, FAILED: self.failed}.get(entry.state)
        return cut is not None and (entry.completed_at or "") < written(cut)


def ages() -> Ages:
    """As the settings have it, by now."""
    now = clock.now()
    finished = now - timedelta(seconds=settings().finished_job_age)
    return Ages(finished, min(finished, now - timedelta(seconds=settings().failed_job_age)))
