"""Retention: each call erases one page of what is past its age. It may be repeated, and begins anywhere."""

from typing import Any

import azure.durable_functions as df

from jobs import old_files, old_instances, old_jobs, old_rows
from jobs.ages import ages
from jobs.call import Call, outcome
from jobs.erasing import Eraser

blueprint = df.Blueprint()

PARTS = ("uploads", "jobs", "chunks", "bodies", "instances", *old_rows.TABLES)
"""In this order: an upload is found by its job's row, and the inputs of imported orders outlast these."""


@blueprint.activity_trigger(input_name="call")
@blueprint.durable_client_input(client_name="client")
async def erase_old(call: dict, client: df.DurableOrchestrationClient) -> dict:
    return await outcome(lambda known: erase(known, client), call)


async def erase(call: Call, durable: df.DurableOrchestrationClient) -> dict[str, Any]:
    """Input: `part`, `dryRun`, `continuation` (None at first). Returns `counts`, `kept`, `next` (None at the end)."""
    eraser = Eraser(dry_run=call.input["dryRun"])
    part, continuation = call.input["part"], call.input["continuation"]
    known = ages()
    if part == "jobs":
        following = await old_jobs.erase(eraser, known, continuation, durable)
    elif part == "instances":
        following = await old_instances.erase(eraser, known, continuation, durable)
    elif part in _FILES:
        following = await _FILES[part](eraser, known, continuation)
    else:
        following = await old_rows.erase(part, eraser, known, continuation)
    return {"counts": +eraser.counts, "kept": +eraser.kept, "next": following}


_FILES = {"uploads": old_files.erase_uploads, "chunks": old_files.erase_chunks, "bodies": old_files.erase_bodies}
