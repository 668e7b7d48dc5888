"""The identity of a file of orders, which begins the ids of its orders: the same file never orders twice.

It is that of the file's name, unless the same content came before under another name; then it is the one that content
had. A corrected file keeps the identity that its name has had since the first time, even if that came from another
name.

Table `imports`: a row for each content and one for each name, inserted if absent; and one for each identity, which says
whose turn it is: two imports of one identity at once could not know what the other orders. Retention deletes only that
one, by its age: the others stay, as orders do in the order book.
"""

from __future__ import annotations

from hashlib import sha256

from azure.core.exceptions import ResourceExistsError, ResourceModifiedError, ResourceNotFoundError
from azure.data.tables import TableEntity, UpdateMode

from jobs import ledger
from jobs.clients import clients
from jobs.errors import JobNotFoundError, TransientError
from jobs.etags import if_match
from jobs.ledger import JobRef

TABLE = "imports"
ROW = "identity"


class ImportUnderWayError(TransientError):
    """Another import of the same identity has not ended."""


async def of(name: str, digest: str) -> str:
    """The identity (16 hex digits) of the content with that digest in a blob of that name; always the same one."""
    known = await _find(digest)
    hashed = sha256(name.encode()).hexdigest()
    named = await _keep(f"name-{hashed}", known or hashed[:16])
    return known or await _keep(digest, named)


async def take_turn(identity: str, digest: str, job: JobRef, *, wait: float) -> bool:
    """Make this import the only one of its identity until its job has ended. Harmless to repeat.

    Returns whether another content came before under the identity. Raises ImportUnderWayError, to be tried again after
    `wait` seconds.
    """
    table, key = clients().table(TABLE), f"turn-{identity}"
    row = {"PartitionKey": key, "RowKey": ROW, "identity": identity, "job": job.id, "digest": digest, "mixed": False}
    while True:
        row["importedAt"] = ledger.now()
        try:
            found = await table.get_entity(key, ROW)
        except ResourceNotFoundError:
            try:
                await table.create_entity(row)
                return False
            except ResourceExistsError:
                continue
        if await _is_under_way(found, job):
            raise ImportUnderWayError(
                f"order-import/{found['job']} is about the same file and has not ended: if waiting for it does not "
                "help, see why, and replay this import then",
                retry_after=wait,
            )
        row["mixed"] = found["mixed"] or found["digest"] != digest
        try:
            # Written even if it says the same, so that whoever has read it before does not take the turn as well.
            await table.update_entity(row, mode=UpdateMode.REPLACE, **if_match(found.metadata["etag"]))
            return row["mixed"]
        except (ResourceModifiedError, ResourceNotFoundError):
            continue


async def _is_under_way(found: TableEntity, job: JobRef) -> bool:
    """Whether another import has the turn."""
    if found["job"] == job.id:
        return False
    try:
        return not (await ledger.get(job.kind, found["job"])).is_final
    except JobNotFoundError:
        return False


async def _find(key: str) -> str | None:
    try:
        return (await clients().table(TABLE).get_entity(key, ROW))["identity"]
    except ResourceNotFoundError:
        return None


async def _keep(key: str, identity: str) -> str:
    """Keep an identity unless there is one, and return the one that is kept."""
    row = {"PartitionKey": key, "RowKey": ROW, "identity": identity}
    try:
        await clients().table(TABLE).create_entity(row)
    except ResourceExistsError:
        return await _find(key) or identity
    return identity
