"""Hand-over: the message by which the app itself has a job started that is in the ledger, and what is read of it."""

from __future__ import annotations

from contextlib import suppress
from uuid import uuid4

from jobs import claim_check, ledger, strict_json
from jobs.catalog import Kind, kind_named
from jobs.errors import JobNotFoundError, NotAJobError
from jobs.job import Envelope, Job, parse
from jobs.ledger import Entry, JobRef


async def message(job: Job, ref: JobRef) -> bytes:
    """The message that starts a job which is in the ledger. What of its input must not travel is left in its claim."""
    if ref.claim:
        await claim_check.write(ref.claim, job.content)
    fields = {
        "kind": ref.kind,
        "id": ref.id,
        "correlationId": ref.correlation_id,
        "input": job.travelling_input,
        "handOver": uuid4().hex,
        "priority": job.priority,
    }
    return strict_json.canonical(fields)


async def job_of(envelope: Envelope) -> tuple[Kind, Entry]:
    """The job that the app itself has put into a queue. Raises NotAJobError when it was somebody else."""
    kind = kind_named(envelope.kind)
    with suppress(JobNotFoundError):
        entry = await ledger.get(kind.name, envelope.id)
        # What waits in a claim nobody can change; what travels must be what was submitted.
        if entry.job.claim or parse(envelope).digest == entry.digest:
            return kind, entry
    raise NotAJobError('"handOver" is for the app itself: leave it out')
