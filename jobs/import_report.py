"""The report of an import: what is wrong with which line, as CSV, and a summary, in `import-reports/<job>/`."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from typing import Any

from azure.core.exceptions import ResourceNotFoundError
from azure.storage.blob import BlobBlock, ContentSettings
from azure.storage.blob.aio import BlobClient

from jobs import import_store, strict_json
from jobs.clients import clients
from jobs.import_store import ImportDataLostError
from jobs.ledger import JobRef

CONTAINER = "import-reports"
COLUMNS = ("line", "field", "reason")
BLOCK = 1024 * 1024
"""Characters that are gathered before they are written."""

_FORMULA = tuple("=+-@\t\r")
"""A spreadsheet takes a field that begins so for a formula."""


async def write(job: JobRef, chunks: int, *, may_lack: bool, about: dict[str, Any]) -> dict[str, Any]:
    """Write the report of the first so many chunks, and throw away what was kept for it. Harmless to repeat.

    `may_lack`: whether some may not have been taken. Returns the sums of their counts, and the blobs.
    Raises ImportDataLostError.
    """
    folder = job.of_run(job.id)
    bad_rows, summary = f"{folder}/bad-rows.csv", f"{folder}/summary.json"
    # It is written last: once it is there, an earlier try of this step has begun to throw away.
    content = await _read(summary)
    if content is None:
        counts = await _write_bad_rows(job, chunks, bad_rows, may_lack=may_lack)
        content = await _read(summary) if counts is None else about | {"counts": counts}
        if content is None:
            raise ImportDataLostError("what a part of the import found is gone: upload the file again")
        json_type = ContentSettings(content_type="application/json")
        data = strict_json.canonical(content)
        await clients().container(CONTAINER).upload_blob(summary, data, overwrite=True, content_settings=json_type)
    await import_store.forget(job, chunks)
    blobs = {"report": {"blob": f"{CONTAINER}/{bad_rows}"}, "summary": {"blob": f"{CONTAINER}/{summary}"}}
    return content["counts"] | blobs


async def _write_bad_rows(job: JobRef, chunks: int, name: str, *, may_lack: bool) -> dict[str, int] | None:
    """Write the file block by block, so that it is never whole in memory. None when a chunk's part is gone."""
    blob = clients().container(CONTAINER).get_blob_client(name)
    counts = Counter(rows=0, accepted=0, orderedBefore=0, bad=0)
    text, blocks = io.StringIO(), []
    rows = csv.writer(text)
    rows.writerow(COLUMNS)
    for number in range(chunks):
        part = await import_store.read_part(job, number)
        if part is None:
            if may_lack:
                continue
            return None
        counts.update(part[0])
        rows.writerows(map(no_formula, fault) for fault in part[1])
        if text.tell() >= BLOCK:
            await _stage(blob, blocks, text)
    await _stage(blob, blocks, text)
    await blob.commit_block_list(blocks, content_settings=ContentSettings(content_type="text/csv; charset=utf-8"))
    return dict(counts)


async def _stage(blob: BlobClient, blocks: list[BlobBlock], text: io.StringIO) -> None:
    if content := text.getvalue().encode():
        block = BlobBlock(block_id=f"{len(blocks):06}")
        await blob.stage_block(block.id, content)
        blocks.append(block)
    text.seek(0)
    text.truncate()


async def _read(name: str) -> dict[str, Any] | None:
    try:
        return json.loads(await (await clients().container(CONTAINER).download_blob(name)).readall())
    except ResourceNotFoundError:
        return None


def no_formula(value: object) -> str:
    """A field that no spreadsheet takes for a formula."""
    text = str(value)
    return f"'{text}" if text.startswith(_FORMULA) else text
