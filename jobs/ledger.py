"""The ledger of jobs: one table row a job, which decides what exists, who does it, and how it ended."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from azure.core.exceptions import ResourceExistsError, ResourceModifiedError, ResourceNotFoundError
from azure.data.tables import TableEntity, UpdateMode
from azure.data.tables.aio import TableClient

from jobs import clock, events, strict_json, telemetry
from jobs.clients import clients
from jobs.entry import CANCELLED, FAILED, PENDING, RUNNING, Deliveries, Entry, JobRef, Run, seconds_between
from jobs.entry import COMPLETED as COMPLETED
from jobs.entry import FINAL as FINAL
from jobs.entry import STATES as STATES
from jobs.entry import written as written
from jobs.errors import JobBusyError, JobFinishedError, JobNotFoundError
from jobs.etags import if_match
from jobs.ledger_rows import entry_of


def now() -> str:
    """The present moment, as the ledger writes it."""
    return written(clock.now())


async def submit(job: JobRef, digest: str, more: Mapping[str, str] | None = None) -> tuple[Entry, bool]:
    """Insert a row for the job unless there is one. Returns the row, and whether it is new.

    `more`: columns that do not travel with it: where its outcome is to be told, until when it is held back.
    """
    row = {**row_of(job, digest), **(more or {})}
    try:
        created = await table().create_entity(row)
    except ResourceExistsError:
        return await get(job.kind, job.id), False
    return entry_of(row, created["etag"]), True


def row_of(job: JobRef, digest: str) -> dict[str, Any]:
    """The row of a job that is new."""
    row = {
        "PartitionKey": job.kind,
        "RowKey": job.id,
        "state": PENDING,
        "digest": digest,
        "correlationId": job.correlation_id,
        "submittedAt": job.submitted_at,
        "source": job.source,
    }
    if job.claim:
        row["claim"] = job.claim
    if job.reply_to:
        row["replyTo"] = job.reply_to
    if job.not_before:
        row["notBefore"] = job.not_before
    return row


async def get(kind: str, id: str) -> Entry:
    """The job's row. Raises JobNotFoundError, DamagedRowError."""
    row = await read_row(kind, id)
    return entry_of(row, row.metadata["etag"])


async def begin(job: JobRef, *, runner: str, attempt: int = 1) -> Run:
    """Enter the job's start, once, and log it. Every repetition by the same `runner` gets the same run.

    Raises JobFinishedError when the job has ended, JobBusyError when another runner is doing it.
    """
    tag = job.tag
    while True:
        if tag is not None:
            started_at = now()
            changes = {"state": RUNNING, "startedAt": started_at, "runner": runner, "attempt": attempt}
            if new_tag := await merge(job, tag, changes):
                telemetry.job_started(job, wait_seconds=seconds_between(job.due_at, started_at), attempt=attempt)
                events.started(job, started_at)
                return Run(started_at, new_tag, attempt)
        entry = await get(job.kind, job.id)
        if entry.job.run != job.run:
            raise JobFinishedError(f"run {job.run} of the job has ended; it is in run {entry.job.run}")
        if entry.is_final:
            raise JobFinishedError(f"the job ended as {entry.state} at {entry.completed_at}")
        if entry.state == RUNNING:
            if entry.runner != runner:
                raise JobBusyError("another delivery of this job is doing it")
            return Run(entry.started_at, entry.tag, max(attempt, entry.attempt))
        tag = entry.tag


async def end(
    job: JobRef,
    run: Run | None,
    state: str,
    *,
    result: Any = None,
    result_blob: str | None = None,
    error: Mapping[str, Any] | None = None,
    owes: Deliveries | None = None,
) -> Entry | None:
    """Enter the job's end, once, and log it. `run` None: the row is read first, and the job may never have begun.

    `owes`: by what channels it is to be told. Returns the job as it has ended, by this call or an earlier one;
    None when it was opened again since.
    """
    changes: dict[str, Any] = {"state": state} | _owing(owes)
    if state == FAILED:
        changes["buried"] = False  # a query finds no row by what it lacks
    if result is not None:
        # In the spelling whose size decided that it need not go to a blob.
        changes["result"] = strict_json.canonical(result).decode()
    if result_blob is not None:
        changes["resultBlob"] = result_blob
    if error is not None:
        changes["error"] = json.dumps(error)
    while True:
        if run is None or run.tag is None:
            entry = await get(job.kind, job.id)
            if _is_of_another_run(entry, job, run):
                return None
            if entry.is_final:
                return entry
            run = Run(entry.started_at, entry.tag, entry.attempt)
        completed_at = changes["completedAt"] = now()
        changes["attempt"] = run.attempt
        if tag := await merge(job, run.tag, changes):
            break
        run = replace(run, tag=None)
    entry = Entry(
        job,
        tag,
        state,
        None,
        started_at=run.started_at,
        completed_at=completed_at,
        attempt=run.attempt,
        result=result,
        result_blob=result_blob,
        error=None if error is None else dict(error),
        deliveries=owes or {},
        is_owed=bool(owes),
    )
    telemetry.job_ended(
        job,
        state,
        wait_seconds=entry.wait_seconds,
        run_seconds=entry.run_seconds,
        attempt=run.attempt,
        error=error,
    )
    return entry


def _owing(owes: Deliveries | None) -> dict[str, Any]:
    return {"owed": True, "deliveries": json.dumps(owes)} if owes else {}


async def wait_for(job: JobRef, what: str | None, overdue_at: datetime) -> None:
    """Enter that the running job waits for something outside the app, or (None) that it has gone on.

    `overdue_at`: the moment past which it is late, since the time that it waits is not its own.
    """
    changes = {"waitingFor": what or "", "overdueAt": written(overdue_at)}
    while True:
        entry = await get(job.kind, job.id)
        if entry.state != RUNNING or entry.job.run != job.run or await merge(job, entry.tag, changes):
            return


async def withdraw(entry: Entry, owes: Deliveries | None = None) -> Entry | None:
    """Cancel a job that has not begun, and return it. None when it has begun meanwhile. `owes`: as of `end`."""
    changes = {"state": CANCELLED, "completedAt": now()} | _owing(owes)
    tag = await merge(entry.job, entry.tag, changes)
    if tag is None:
        return None
    telemetry.job_ended(entry.job, CANCELLED, wait_seconds=None, run_seconds=None, attempt=0)
    ended = replace(entry, tag=tag, state=CANCELLED, completed_at=changes["completedAt"])
    return replace(ended, deliveries=owes or {}, is_owed=bool(owes))


def table() -> TableClient:
    """Where the rows are."""
    return clients().table("jobs")


async def read_row(kind: str, id: str) -> TableEntity:
    """A row as it is stored. Raises JobNotFoundError."""
    try:
        return await table().get_entity(kind, id)
    except ResourceNotFoundError:
        raise JobNotFoundError(f"there is no {kind} job {id!r}") from None


async def merge(job: JobRef, tag: str, changes: dict[str, Any]) -> str | None:
    """Change the row if it still has that ETag. Returns the new one, or None when somebody else was quicker.

    Every change names a moment, by which it is known again when its answer was lost and the SDK sent it once more.
    """
    row = {"PartitionKey": job.kind, "RowKey": job.id, **changes}
    try:
        merged = await table().update_entity(row, mode=UpdateMode.MERGE, **if_match(tag))
    except ResourceModifiedError:
        found = await table().get_entity(job.kind, job.id)
        return found.metadata["etag"] if found.items() >= row.items() else None
    return merged["etag"]


def _is_of_another_run(entry: Entry, job: JobRef, run: Run | None) -> bool:
    """Whether the job was opened again since, so that this end comes too late."""
    return entry.job.run != job.run or (run is not None and run.started_at != entry.started_at)
