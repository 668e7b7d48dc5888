"""Jobs past their age: all that belongs to them goes, and their rows in the ledger last, by which it is found.

A job stays while it has a dead letter, which may be replayed, or something that could not be undone. A product stays:
the order book and the sales for good, a photo's thumbnails as long as the photo (see `jobs.old_thumbnails`).
"""

from __future__ import annotations

from collections.abc import Sequence

from azure.data.tables import TableEntity
from azure.durable_functions import DurableOrchestrationClient

from jobs import bodies, claim_check, dead_letters, ledger, ledger_rows, parcels, results
from jobs.ages import Ages
from jobs.catalog import KINDS
from jobs.channels import DELIVERED
from jobs.entry import CANCELLED, COMPLETED, FAILED, OPEN_COMPENSATIONS, Entry, JobRef
from jobs.erasing import Eraser, for_each

PAGE = 500
"""Jobs in one step: some thousand requests, at most."""
FILES = {"sales-report": "reports", "order-import": "import-reports"}
"""By kind, the container in which each job has a folder of its own."""

# The SDK finds a parameter only if there is a blank on either side of it.
QUERY = (
    f"((state eq '{COMPLETED}' or state eq '{CANCELLED}') and completedAt lt @finished ) "
    f"or (state eq '{FAILED}' and buried eq true and completedAt lt @failed )"
)


async def erase(
    eraser: Eraser, ages: Ages, continuation: dict[str, str] | None, durable: DurableOrchestrationClient
) -> dict[str, str] | None:
    """Erase one page of jobs. Returns where to go on, None at the end. Raises ServiceBusUnavailableError."""
    found, token = await _page(ages, continuation)
    lettered: set[tuple[str | None, str | None]] = set()
    if any(_may_have_a_letter(entry) for _, entry in ledger_rows.sort_out(found)[0]):
        lettered = await _lettered()
        # Once more: a job whose letter a replay took before it was seen is Failed no longer.
        found, token = await _page(ages, continuation)
    await _erase_page(eraser, found, lettered, durable)
    return token


async def _page(ages: Ages, continuation: dict[str, str] | None) -> tuple[Sequence[TableEntity], dict[str, str] | None]:
    limits = {"finished": ledger.written(ages.finished), "failed": ledger.written(ages.failed)}
    pages = ledger.table().query_entities(QUERY, parameters=limits, results_per_page=PAGE).by_page(continuation)
    async for page in pages:
        return [row async for row in page], pages.continuation_token
    return [], None


async def _erase_page(
    eraser: Eraser,
    found: Sequence[TableEntity],
    lettered: set[tuple[str | None, str | None]],
    durable: DurableOrchestrationClient,
) -> None:
    read, damaged = ledger_rows.sort_out(found)
    # What belongs to them nobody can tell.
    eraser.kept["damaged"] += len(damaged)
    going: list[tuple[TableEntity, Entry]] = []
    for row, entry in read:
        if OPEN_COMPENSATIONS in (entry.error or {}):
            eraser.kept["openCompensations"] += 1
        elif _may_have_a_letter(entry) and (entry.job.kind, entry.job.id) in lettered:
            eraser.kept["deadLetters"] += 1
        else:
            going.append((row, entry))
    await for_each([entry for _, entry in going], lambda entry: _erase_belongings(eraser, entry, durable))
    await eraser.rows("jobs", ledger.table(), [row for row, _ in going])


def _may_have_a_letter(entry: Entry) -> bool:
    """A job that has failed has one, and one whose end could not be told, or was not told in time."""
    return entry.state == FAILED or any(said["state"] != DELIVERED for said in entry.deliveries.values())


async def _erase_belongings(eraser: Eraser, entry: Entry, durable: DurableOrchestrationClient) -> None:
    """Erase what would not be found again without the row."""
    job, kind = entry.job, KINDS.get(entry.job.kind)
    if kind and kind.orchestrator:
        for instance in _names_in_each_run(job, f"{job.kind}-{job.id}"):
            await _erase_instance(eraser, instance, durable)
    if job.claim and not claim_check.is_shared(job.claim):
        await eraser.blob("claims", claim_check.CONTAINER, job.claim)
    if job.kind == "order":
        # The addresses that its customer asked for, also those that were refused.
        await eraser.folder("claims", claim_check.CONTAINER, f"order/{job.id}/")
    if job.kind == "shipment":
        await parcels.erase(eraser, job.id)
    if job.kind == "order-import":
        for folder in _names_in_each_run(job, f"order-import/{job.id}"):
            # The inputs of its orders stay as long as these: see `jobs.old_files`.
            await eraser.folder("claims", claim_check.CONTAINER, f"{folder}/", but=".jsonl")
    if entry.state == FAILED or entry.reopened_by:
        await eraser.blob("bodies", bodies.CONTAINER, bodies.of_job(job))
    if entry.result_blob:
        await eraser.blob("results", results.CONTAINER, entry.result_blob)
    if container := FILES.get(job.kind):
        for folder in _names_in_each_run(job, job.id):
            await eraser.folder("reports", container, f"{folder}/")


async def _erase_instance(eraser: Eraser, instance: str, durable: DurableOrchestrationClient) -> None:
    if eraser.dry_run:
        eraser.counts["instances"] += bool(await durable.get_status(instance))
    else:
        eraser.counts["instances"] += (await durable.purge_instance_history(instance)).instances_deleted


def _names_in_each_run(job: JobRef, name: str) -> list[str]:
    return [JobRef(job.kind, job.id, "", "", run=run).of_run(name) for run in range(1, job.run + 1)]


async def _lettered() -> set[tuple[str | None, str | None]]:
    """The jobs that dead letters are about."""
    return {(dead.letter.kind, dead.letter.job_id) async for dead in dead_letters.find()}
