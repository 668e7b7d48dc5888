"""Imports of orders: a file in `order-imports` is planned, its chunks become orders, a report is written."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

import azure.durable_functions as df

from jobs import (
    bulk,
    clock,
    import_book,
    import_earlier,
    import_file,
    import_hand_over,
    import_identity,
    import_report,
    import_rows,
    import_store,
    ledger,
    uploads,
)
from jobs.bulk import Entered
from jobs.call import Call, outcome
from jobs.clients import clients
from jobs.errors import InvalidInputError, NotAJobError, PermanentError
from jobs.import_earlier import Was
from jobs.import_file import Chunk, Plan, Record
from jobs.import_rows import Fault
from jobs.job import Job
from jobs.ledger import JobRef
from jobs.settings import settings

blueprint = df.Blueprint()

SOURCE = "order-imports"
LARGEST_FILE = 256 * 1024 * 1024
"""Bytes: 100,000 rows of more than two and a half thousand each."""
PIECE = 4 * 1024 * 1024
"""Bytes of a file that are in memory at once while it is scanned."""
LONGER, LONGEST_WAIT = 4.0, 600.0
"""For another import of the same file: the factor from a wait to the next, in seconds (4, 16, 64 …), and the limit."""
ADVICE = "upload it in a file of its own, under a new name and with only the new rows"
CHANGED = f"this line was ordered before with other content: if the row is one more order, {ADVICE}"
REPEATED = "the same order was made before as line %s of this file: if it is meant once more, " + ADVICE


Row = tuple[int, int, Job]
"""A good row: its number among the rows of the file, its line, and the order that it is."""


class FileTooLargeError(PermanentError):
    """The file is larger than one import takes."""


@blueprint.activity_trigger(input_name="call")
async def scan_import(call: dict) -> dict:
    return await outcome(scan, call)


@blueprint.activity_trigger(input_name="call")
async def import_chunk(call: dict) -> dict:
    return await outcome(take_chunk, call)


@blueprint.activity_trigger(input_name="call")
async def report_import(call: dict) -> dict:
    return await outcome(report, call)


async def scan(call: Call) -> dict[str, int]:
    """Read the file, and keep the plan of its chunks. Input: `name`, `etag`. Returns how many `rows` and `chunks`.

    It is read once more if there was an import of its identity before, to know which rows were ordered then.
    Raises BlobChangedError, FileTooLargeError, ImportUnderWayError, and the PermanentErrors of `jobs.import_file` and
    `jobs.import_header`.
    """
    scanner = import_file.Scanner(settings().import_rows_per_chunk)
    async for piece in _pieces(call.input["name"], call.input["etag"]):
        # In a thread, for the event loop has other work to do.
        await asyncio.to_thread(scanner.feed, piece)
    plan = await asyncio.to_thread(scanner.finish)
    identity = await import_identity.of(call.input["name"], plan.digest)
    more: dict[str, Any] = {"identity": identity, "begin": ledger.written(clock.now())}
    wait = min(LONGER**call.attempt, LONGEST_WAIT)
    is_mixed = await import_identity.take_turn(identity, plan.digest, call.job, wait=wait)
    # Also those that nothing else tells of any more, which retention has left.
    booked = await import_book.read(identity)
    if is_mixed or booked:
        more["earlier"] = await _keep_earlier(call, plan, identity, booked)
    await import_store.keep_plan(call.job, plan, **more)
    return {"rows": plan.rows, "chunks": len(plan.chunks)}


async def take_chunk(call: Call) -> dict[str, int]:
    """Make orders of the rows of one chunk. Input: `name`, `etag`, `chunk` (from 0). Returns the counts of its rows.

    The inputs are kept first, then the orders are entered in the ledger, then the messages are sent that begin them; so
    a repetition does whatever is left. Raises BlobChangedError, ImportDataLostError, ServiceBusUnavailableError.
    """
    number = call.input["chunk"]
    plan, kept = await import_store.read_plan(call.job)
    chunk = plan.chunks[number]
    data = await _read(call.input["name"], call.input["etag"], chunk.offset, chunk.length)
    earlier = await import_store.read_earlier(call.job, kept["earlier"][number]) if "earlier" in kept else {}
    good, faults = await asyncio.to_thread(_orders, plan, chunk, data, _about(call, kept["identity"]))
    begin = datetime.fromisoformat(kept["begin"])
    orders = [each for each in good if each[1] not in earlier]
    entered = await _enter(call, chunk, orders, kept["identity"])
    ordered_before, to_begin = _moved(good, earlier, kept["identity"], begin, faults)
    accepted = 0
    for (row, line, job), found in zip(orders, entered, strict=True):
        if found.digest != job.digest:
            faults.append(Fault(line, "", CHANGED))
            continue
        if _is_of(call, found):
            accepted += 1
        else:
            ordered_before += 1
        if found.state == ledger.PENDING:
            # Also if another import entered it, which may have ended before it sent the message.
            to_begin.append((job.ref, import_hand_over.due(begin, row)))
    await import_hand_over.send(to_begin)
    bad = len({fault.line for fault in faults})
    counts = {"rows": chunk.count, "accepted": accepted, "orderedBefore": ordered_before, "bad": bad}
    await import_store.keep_part(call.job, number, counts, sorted(faults))
    return counts


def _moved(
    good: list[Row], earlier: Mapping[int, Was], identity: str, begin: datetime, faults: list[Fault]
) -> tuple[int, list[tuple[JobRef, datetime]]]:
    """Of the rows that were ordered `earlier`: how many have their order, and the orders that have not begun.

    A row more than there are orders of its content is a fault, and so is other content on the line of one.
    """
    ordered_before, to_begin = 0, []
    for row, line, job in good:
        was = earlier.get(line)
        if was is None:
            continue
        if was.is_more:
            faults.append(Fault(line, "", REPEATED % was.before))
            continue
        if was.is_other:
            faults.append(Fault(line, "", CHANGED))
            continue
        ordered_before += 1
        if was.is_pending:
            ref = replace(job.ref, id=import_rows.id_of(identity, was.before))
            to_begin.append((ref, import_hand_over.due(begin, row)))
    return ordered_before, to_begin


async def report(call: Call) -> dict[str, Any]:
    """Write the report. Returns the counts of all chunks that were taken, and the blobs with `report` and `summary`.

    Input: `name`, `chunks` (how many were begun), `complete`. Raises ImportDataLostError.
    """
    complete = call.input["complete"]
    about = {"file": f"{SOURCE}/{call.input['name']}", "complete": complete}
    return await import_report.write(call.job, call.input["chunks"], may_lack=not complete, about=about)


async def _keep_earlier(call: Call, plan: Plan, identity: str, booked: Mapping[int, bytes | None]) -> list[list[int]]:
    """Find which rows were ordered before, and keep what the ledger will not tell. Returns where it is, by chunk."""
    earlier = import_earlier.Earlier()
    await earlier.read(identity, booked, but=import_store.claims_of(call.job))
    about = _about(call, identity)
    for chunk in plan.chunks:
        data = await _read(call.input["name"], call.input["etag"], chunk.offset, chunk.length)
        earlier.see(await asyncio.to_thread(_digests, plan, chunk, data, about))
    return await import_store.keep_earlier(call.job, await asyncio.to_thread(earlier.by_chunk, plan.chunks))


def _digests(plan: Plan, chunk: Chunk, data: bytes, about: tuple[str, str, str]) -> list[tuple[int, str]]:
    return [(line, job.digest) for _, line, job in _orders(plan, chunk, data, about)[0]]


def _about(call: Call, identity: str) -> tuple[str, str, str]:
    """What the orders of an import have in common: identity, correlation id, source."""
    return identity, call.job.correlation_id, uploads.source_of(SOURCE, call.input["name"])


async def _enter(call: Call, chunk: Chunk, orders: list[Row], identity: str) -> list[Entered]:
    if not orders:
        return []
    jobs = [job for _, _, job in orders]
    contents = [job.content for job in jobs]
    claims = await import_store.keep_inputs(call.job, chunk.line, contents, jobs[0].id, jobs[-1].id)
    given = [(replace(job.ref, claim=claim), job.digest) for job, claim in zip(jobs, claims, strict=True)]
    entered = await bulk.submit_many(given)
    is_needed = any(_is_of(call, found) for found in entered)
    if is_needed or any(found.state == ledger.PENDING for found in entered):
        # Those of another import as well, which may have died before it did this.
        pairs = zip(orders, entered, strict=True)
        made = [(line, job.digest) for (_, line, job), found in pairs if found.digest == job.digest]
        await import_book.enter(identity, call.job, made)
    if not is_needed:
        await import_store.forget_inputs(claims[0])
    return entered


def _is_of(call: Call, found: Entered) -> bool:
    """Whether this import has entered the order, now or in an earlier try."""
    return (found.claim or "").startswith(import_store.claims_of(call.job))


def _orders(plan: Plan, chunk: Chunk, data: bytes, about: tuple[str, str, str]) -> tuple[list[Row], list[Fault]]:
    """The good rows of a chunk, each with its number and its line; and what is wrong with the others."""
    orders: list[Row] = []
    faults: list[Fault] = []
    records: list[Record] = import_file.records(plan, chunk, data)
    for row, record in enumerate(records, chunk.row):
        try:
            job = import_rows.read(plan, record, *about)
        except (InvalidInputError, NotAJobError) as error:
            faults += import_rows.faults(plan, record.line, error)
        else:
            orders.append((row, record.line, job))
    return orders, faults


async def _pieces(name: str, etag: str) -> AsyncIterator[bytes]:
    with uploads.unchanged(SOURCE, name):
        found = await clients().container(SOURCE).get_blob_client(name).get_blob_properties(**uploads.only(etag))
    if found.size > LARGEST_FILE:
        raise FileTooLargeError(
            f"the file has {found.size:,} bytes, and {LARGEST_FILE:,} at most are taken: cut it into several"
        )
    for offset in range(0, found.size, PIECE):
        yield await _read(name, etag, offset, min(PIECE, found.size - offset))


async def _read(name: str, etag: str, offset: int, length: int) -> bytes:
    with uploads.unchanged(SOURCE, name):
        blob = clients().container(SOURCE).get_blob_client(name)
        download = await blob.download_blob(offset=offset, length=length, **uploads.only(etag))
        return await download.readall()
