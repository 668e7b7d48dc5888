"""What an import keeps while it runs: blobs in the container `claims`, below `order-import/<job>/`.

`plan.json`, `earlier.json` and `part-<chunk>.json` are for itself, and go when its report is written.
`<line>-<digest>.jsonl` holds the inputs of a chunk's orders, and must stay as long as any of these orders may need it:
its metadata name the `first` and the `last`.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import asdict
from hashlib import sha256
from typing import Any

from azure.core.exceptions import ResourceNotFoundError
from azure.storage.blob.aio import ContainerClient

from jobs import claim_check, strict_json
from jobs.clients import clients
from jobs.errors import PermanentError
from jobs.import_earlier import Was
from jobs.import_file import Chunk, Plan
from jobs.import_header import Table
from jobs.import_rows import DIGITS, Fault
from jobs.ledger import JobRef

AT_ONCE = 16
"""Blobs that are deleted together."""


class ImportDataLostError(PermanentError):
    """What the import kept for itself is gone."""


def claims_of(job: JobRef) -> str:
    """How the names of the blobs begin that hold the inputs of its orders, in every run."""
    return f"order-import/{job.id}/"


async def keep_plan(job: JobRef, plan: Plan, **more: Any) -> None:
    """Keep the plan of the file, and more of it."""
    await _put(_working(job, "plan"), asdict(plan) | more)


async def read_plan(job: JobRef) -> tuple[Plan, dict[str, Any]]:
    """The plan, and what was kept with it. Raises ImportDataLostError."""
    stored = await _get(_working(job, "plan"))
    if stored is None:
        raise ImportDataLostError("the plan of the import is gone: upload the file again")
    table = stored["table"] and Table(**stored["table"])
    chunks = [Chunk(*each) for each in stored["chunks"]]
    return Plan(table, stored["digest"], stored["rows"], chunks), stored


async def keep_earlier(job: JobRef, chunks: Sequence[Sequence[Was]]) -> list[list[int]]:
    """Keep what was ordered before, chunk by chunk. Returns offset and length of each, for `read_earlier`."""
    content, places = bytearray(), []
    for rows in chunks:
        part = strict_json.canonical(rows) if rows else b""
        places.append([len(content), len(part)])
        content += part
    await _container().upload_blob(_working(job, "earlier"), bytes(content), overwrite=True)
    return places


async def read_earlier(job: JobRef, place: Sequence[int]) -> dict[int, Was]:
    """What of one chunk was ordered before, by its line now. Raises ImportDataLostError."""
    offset, length = place
    if not length:
        return {}
    try:
        download = await _container().download_blob(_working(job, "earlier"), offset=offset, length=length)
    except ResourceNotFoundError:
        raise ImportDataLostError("what the import knew of earlier orders is gone: upload the file again") from None
    return {row[0]: Was(*row) for row in json.loads(await download.readall())}


async def keep_inputs(job: JobRef, line: int, inputs: Sequence[bytes], first: str, last: str) -> list[str]:
    """Keep the inputs of a chunk's orders, in one blob, and return the claim of each.

    `line`: the chunk's first; `first`, `last`: ids. What is kept is never changed: its name has the digest.
    """
    content = b"\n".join(inputs) + b"\n"
    blob = f"{claims_of(job)}{line:0{DIGITS}}-{sha256(content).hexdigest()[:16]}.jsonl"
    metadata = {"first": first, "last": last}
    await _container().upload_blob(blob, content, overwrite=True, metadata=metadata)
    claims, offset = [], 0
    for each in inputs:
        claims.append(claim_check.name_part(blob, offset, len(each)))
        offset += len(each) + 1
    return claims


async def forget_inputs(claim: str) -> None:
    """Throw away what was kept of a chunk, to which no order refers."""
    await _forget(claim_check.blob_of(claim))


async def keep_part(job: JobRef, chunk: int, counts: dict[str, int], faults: Sequence[Fault]) -> None:
    """Keep what a chunk has to report."""
    await _put(_part(job, chunk), {"counts": counts, "faults": faults})


async def read_part(job: JobRef, chunk: int) -> tuple[dict[str, int], list[list[Any]]] | None:
    """What a chunk has to report, its counts and faults; None when there is nothing."""
    stored = await _get(_part(job, chunk))
    return stored and (stored["counts"], stored["faults"])


async def forget(job: JobRef, chunks: int) -> None:
    """Throw away the plan, what was ordered before, and what the first so many chunks had to report."""
    names = [_working(job, "plan"), _working(job, "earlier"), *(_part(job, number) for number in range(chunks))]
    for start in range(0, len(names), AT_ONCE):
        await asyncio.gather(*map(_forget, names[start : start + AT_ONCE]))


def _working(job: JobRef, name: str) -> str:
    return f"order-import/{job.of_run(job.id)}/{name}.json"


def _part(job: JobRef, chunk: int) -> str:
    return _working(job, f"part-{chunk:05}")


async def _put(name: str, value: Any) -> None:
    await _container().upload_blob(name, strict_json.canonical(value), overwrite=True)


async def _get(name: str) -> Any:
    try:
        return json.loads(await (await _container().download_blob(name)).readall())
    except ResourceNotFoundError:
        return None


async def _forget(name: str) -> None:
    try:
        await _container().delete_blob(name)
    except ResourceNotFoundError:
        return


def _container() -> ContainerClient:
    return clients().container(claim_check.CONTAINER)
