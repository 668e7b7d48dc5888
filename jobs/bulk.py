"""Many jobs at once: their ledger rows are inserted a hundred to a transaction, and what is there already is found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from azure.data.tables import TableTransactionError

from jobs import ledger
from jobs.errors import TransientError
from jobs.ledger import JobRef

MOST_IN_TRANSACTION = 100
"""Rows, by the limit of table storage."""
CONFLICT = 409


@dataclass(frozen=True)
class Entered:
    """What the ledger has of one of the jobs: its own row or that of an earlier submission."""

    digest: str
    """Of the input that the row was made for: another than was submitted means that the id is taken."""
    state: str
    claim: str | None


async def submit_many(jobs: Sequence[tuple[JobRef, str]]) -> list[Entered]:
    """Insert a row for each job that has none; `jobs` with the digests of their inputs, all of one kind, by rising id.

    Returns what the ledger then has, in order. Only where a row exists are they looked for, by one query for the range
    of ids, so ids should lie close together. Repeating it is harmless. Raises TransientError.
    """
    found: dict[str, Entered] = {}
    missing = list(jobs)
    while missing:
        some = missing[:MOST_IN_TRANSACTION]
        if await _insert(some):
            found |= {job.id: Entered(digest, ledger.PENDING, job.claim) for job, digest in some}
            del missing[: len(some)]
            continue
        known = await _find(missing[0][0], missing[-1][0])
        left = [(job, digest) for job, digest in missing if job.id not in known]
        if len(left) == len(missing):
            raise TransientError("rows of the ledger were there and gone again: is something deleting them?")
        found |= known
        missing = left
    return [found[job.id] for job, _ in jobs]


async def _insert(jobs: Sequence[tuple[JobRef, str]]) -> bool:
    """Insert all of the rows, or none and return False because one is there."""
    operations = [("create", ledger.row_of(job, digest)) for job, digest in jobs]
    try:
        await ledger.table().submit_transaction(operations)
    except TableTransactionError as error:
        if error.status_code == CONFLICT:
            return False
        raise
    return True


async def _find(first: JobRef, last: JobRef) -> dict[str, Entered]:
    """What is in the ledger from one id to another, by id."""
    rows = ledger.table().query_entities(
        "PartitionKey eq @kind and RowKey ge @first and RowKey le @last",
        parameters={"kind": first.kind, "first": first.id, "last": last.id},
        select=["RowKey", "digest", "state", "claim"],
    )
    # A damaged row is there all the same, and is of another input.
    return {
        row["RowKey"]: Entered(str(row.get("digest")), str(row.get("state")), row.get("claim")) async for row in rows
    }
