"""Files past their age that no row of the ledger leads to: uploads, the inputs of imported orders, failed messages."""

from __future__ import annotations

from azure.storage.blob import BlobProperties
from azure.storage.blob.aio import ContainerClient

from jobs import bodies, claim_check, dead_letters, ledger, uploads
from jobs.ages import Ages
from jobs.clients import clients
from jobs.entry import FAILED
from jobs.erasing import Eraser, for_each
from jobs.errors import DamagedRowError, JobNotFoundError

PAGE = 500
"""Blobs in one step."""
IMPORTS = "order-imports"
CHUNKS = "order-import/"
"""How the names of those claims begin that hold the inputs of imported orders (see `jobs.import_store`)."""


async def erase_uploads(eraser: Eraser, ages: Ages, continuation: str | None) -> str | None:
    """Erase uploaded files of orders whose jobs are past their age. Uploaded photos stay: they are what is sold.

    The file of a job that has failed goes after its row: until then the job may be replayed, and needs it.
    Returns where to go on, None at the end; so do those below.
    """

    async def erase(blob: BlobProperties) -> None:
        message = uploads.message(IMPORTS, blob.name, blob.etag)
        try:
            entry = await ledger.get(message["kind"], message["id"])
            is_past = entry.state != FAILED and ages.is_past(entry)
        except JobNotFoundError:
            # It never was a job, or is none any more.
            is_past = blob.last_modified < ages.failed
        except DamagedRowError:
            eraser.kept["damaged"] += 1
            return
        if is_past:
            await eraser.blob("uploads", IMPORTS, blob.name, blob.etag)

    blobs, token = await page_of(clients().container(IMPORTS), "", continuation)
    await for_each([blob for blob in blobs if blob.last_modified < ages.finished], erase)
    return token


async def erase_chunks(eraser: Eraser, ages: Ages, continuation: str | None) -> str | None:
    """Erase the inputs of imported orders, many in one blob, when the ledger has none of these orders any more."""

    async def erase(blob: BlobProperties) -> None:
        if not await _is_referred_to(blob):
            await eraser.blob("claims", claim_check.CONTAINER, blob.name, blob.etag)

    blobs, token = await page_of(clients().container(claim_check.CONTAINER), CHUNKS, continuation)
    is_chunk = [blob for blob in blobs if blob.name.endswith(".jsonl") and blob.last_modified < ages.finished]
    await for_each(is_chunk, erase)
    return token


async def erase_bodies(eraser: Eraser, ages: Ages, continuation: str | None) -> str | None:
    """Erase what is left of messages that failed, and have no dead letter any more."""
    blobs, token = await page_of(clients().container(bodies.CONTAINER), bodies.MESSAGES, continuation)
    old = [blob for blob in blobs if blob.last_modified < ages.failed]
    if old:
        needed = {dead.letter.body async for dead in dead_letters.find()}
        eraser.kept["deadLetters"] += sum(blob.name in needed for blob in old)
        gone = [blob for blob in old if blob.name not in needed]
        await for_each(gone, lambda blob: eraser.blob("bodies", bodies.CONTAINER, blob.name, blob.etag))
    return token


async def _is_referred_to(blob: BlobProperties) -> bool:
    """Whether the ledger has an order whose input is in the blob; its metadata name the first and the last of them."""
    found = ledger.table().query_entities(
        "PartitionKey eq 'order' and RowKey ge @first and RowKey le @last and claim ge @claim and claim lt @after",
        parameters={
            "first": blob.metadata.get("first", ""),
            "last": blob.metadata.get("last", "~"),
            "claim": f"{blob.name}#",
            "after": f"{blob.name}$",
        },
        select=["RowKey"],
        results_per_page=1,
    )
    async for _ in found:
        return True
    return False


async def page_of(
    container: ContainerClient, prefix: str, token: str | None
) -> tuple[list[BlobProperties], str | None]:
    """One page of the blobs whose names begin so, and where to go on, None at the end."""
    found = container.list_blobs(name_starts_with=prefix or None, include=["metadata"], results_per_page=PAGE)
    pages = found.by_page(token)
    async for page in pages:
        return [blob async for blob in page], pages.continuation_token or None
    return [], None
