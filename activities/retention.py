"""Retention: each call erases some pages of what is past its age. It may be repeated, and begins anywhere."""

import time
from typing import Any

import azure.durable_functions as df

from jobs import old_files, old_instances, old_jobs, old_rows, old_thumbnails
from jobs.ages import Ages, ages
from jobs.call import Call, outcome
from jobs.erasing import Eraser

blueprint = df.Blueprint()

PARTS = ("uploads", "jobs", "chunks", "bodies", "instances", *old_rows.TABLES)
"""In this order: an upload is found by its job's row, and the inputs of imported orders outlast these."""
ALSO = ("thumbnails",)
"""Parts that came later. Each call names them, so that a night which began without them ends as it began."""
LONGEST = 60.0
"""Seconds after which a call begins no other page: far below the host's `functionTimeout`, since a page may take long,
and long enough for a night to need few calls, however many pages there are."""


@blueprint.activity_trigger(input_name="call")
@blueprint.durable_client_input(client_name="client")
async def erase_old(call: dict, client: df.DurableOrchestrationClient) -> dict:
    return await outcome(lambda known: erase(known, client), call)


async def erase(call: Call, durable: df.DurableOrchestrationClient) -> dict[str, Any]:
    """Erase pages for a minute. Input: `part`, `dryRun`, `continuation` (None at first).

    Returns `counts`, `kept`, `next` (where to go on, None at the end), and `also` (see `ALSO`).
    """
    eraser = Eraser(dry_run=call.input["dryRun"])
    part, continuation = call.input["part"], call.input["continuation"]
    known, began, is_first = ages(), time.monotonic(), True
    while is_first or continuation is not None and time.monotonic() - began < LONGEST:
        try:
            continuation = await _erase_page(part, eraser, known, continuation, durable)
        except Exception:
            if is_first:
                raise
            # What was done is told; the next call begins with this page, and its failure is that call's.
            break
        is_first = False
    return {"counts": +eraser.counts, "kept": +eraser.kept, "next": continuation, "also": ALSO}


async def _erase_page(
    part: str, eraser: Eraser, known: Ages, continuation: Any, durable: df.DurableOrchestrationClient
) -> Any:
    if part == "jobs":
        return await old_jobs.erase(eraser, known, continuation, durable)
    if part == "instances":
        return await old_instances.erase(eraser, known, continuation, durable)
    if part in _FILES:
        return await _FILES[part](eraser, known, continuation)
    return await old_rows.erase(part, eraser, known, continuation)


_FILES = {
    "uploads": old_files.erase_uploads,
    "chunks": old_files.erase_chunks,
    "bodies": old_files.erase_bodies,
    "thumbnails": old_thumbnails.erase,
}
