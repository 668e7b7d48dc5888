"""Jobs that have failed: whether each failure has a dead letter, and how a job is opened again to be run once more."""

from __future__ import annotations

from uuid import uuid4

from azure.core.exceptions import ResourceModifiedError
from azure.data.tables import UpdateMode

from jobs import ledger, ledger_rows, letters
from jobs.etags import if_match
from jobs.ledger import PENDING, Entry

OF_ONE_RUN = (
    *("heldUntil", "startedAt", "completedAt", "runner", "attempt", "waitingFor", "overdueAt"),
    *("result", "resultBlob", "error", "buried", "deliveries", "owed"),
)
"""What a job that is opened again has no more."""


async def mark_buried(entry: Entry) -> None:
    """Enter that this failure of the job has a dead letter, unless the job was opened again since."""
    while entry.failure and not entry.is_buried:
        if await ledger.merge(entry.job, entry.tag, {"buried": True, "completedAt": entry.completed_at}):
            return
        found = await ledger.get(entry.job.kind, entry.job.id)
        if found.failure != entry.failure:
            return
        entry = found


def hand_over_after(failure: str) -> str:
    """A name for a message that starts a job which was opened again: of two such messages one does the job."""
    return f"{letters.digest(failure)}.{uuid4().hex}"


def is_of_an_earlier_run(hand_over: str | None, entry: Entry) -> bool:
    """Whether a message was to start the job before it was opened again, and not after."""
    if entry.reopened_by is None:
        return False
    return not (hand_over or "").startswith(letters.digest(entry.reopened_by))


async def reopen(entry: Entry, *, in_new_run: bool) -> Entry | None:
    """Make a job that has failed Pending again. None when somebody was quicker: read the row again, then.

    In a new run all its idempotency keys are new: for a job whose effects were undone. In the same run an effect that
    happened after all does not happen again. Raises JobNotFoundError.
    """
    stored = await ledger.read_row(entry.job.kind, entry.job.id)
    row = {name: value for name, value in stored.items() if name not in OF_ONE_RUN}
    row |= {"state": PENDING, "run": entry.job.run + in_new_run, "reopenedBy": entry.failure}
    try:
        replaced = await ledger.table().update_entity(row, mode=UpdateMode.REPLACE, **if_match(entry.tag))
    except ResourceModifiedError:
        return None
    return ledger_rows.entry_of(row, replaced["etag"])
