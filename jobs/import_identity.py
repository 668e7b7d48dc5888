"""The identity of a file of orders, which begins the ids of its orders: the same file never orders twice.

It is that of the file's name, unless the same content came before under another name; then it is the one that content
had. A corrected file keeps the identity that its name has had since the first time, even if that came from another
name. Table `imports`: a row for each content and one for each name, inserted if absent.
"""

from __future__ import annotations

from hashlib import sha256

from azure.core.exceptions import ResourceExistsError, ResourceNotFoundError

from jobs import ledger
from jobs.clients import clients

TABLE = "imports"
ROW = "identity"


async def of(name: str, digest: str) -> str:
    """The identity (16 hex digits) of the content with that digest in a blob of that name; always the same one."""
    known = await _find(digest)
    hashed = sha256(name.encode()).hexdigest()
    named = await _keep(f"name-{hashed}", known or hashed[:16])
    return known or await _keep(digest, named)


async def _find(key: str) -> str | None:
    try:
        return (await clients().table(TABLE).get_entity(key, ROW))["identity"]
    except ResourceNotFoundError:
        return None


async def _keep(key: str, identity: str) -> str:
    """Keep an identity unless there is one, and return the one that is kept."""
    row = {"PartitionKey": key, "RowKey": ROW, "identity": identity, "importedAt": ledger.now()}
    try:
        await clients().table(TABLE).create_entity(row)
    except ResourceExistsError:
        return await _find(key) or identity
    return identity
