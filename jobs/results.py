"""Results: small ones rest in the ledger, large ones in a blob to which a status gives a short-lived link."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from azure.storage.blob import BlobSasPermissions, ContentSettings, UserDelegationKey, generate_blob_sas

from jobs import strict_json
from jobs.clients import clients
from jobs.ledger import JobRef
from jobs.settings import settings

CONTAINER = "results"
LARGEST_INLINE_RESULT = 32 * 1024
"""Bytes. A table property holds 64 KiB of UTF-16 (durable.md §8)."""


async def store(job: JobRef, result: Any) -> dict[str, Any]:
    """Put the result where it fits. Returns what `ledger.end` takes: `result`, or `result_blob`."""
    content = strict_json.canonical(result)
    if len(content) <= LARGEST_INLINE_RESULT:
        return {"result": result}
    blob = f"{job.kind}/{job.id}.json"
    json_type = ContentSettings(content_type="application/json")
    await clients().container(CONTAINER).upload_blob(blob, content, overwrite=True, content_settings=json_type)
    return {"result_blob": blob}


async def url(blob: str) -> str:
    """A link that lets its holder read one result for a while, with no other right.

    It is signed with the connection string's account key, or with a user delegation key when the app has an identity.
    """
    service = clients().blob_service
    now = datetime.now(UTC)
    expiry = now + timedelta(seconds=settings().result_url_lifetime)
    account_key: str | None = getattr(service.credential, "account_key", None)
    delegation_key: UserDelegationKey | None = None
    if account_key is None:
        delegation_key = await service.get_user_delegation_key(now - timedelta(minutes=5), expiry)
    token = generate_blob_sas(
        service.account_name,
        CONTAINER,
        blob,
        account_key=account_key,
        user_delegation_key=delegation_key,
        permission=BlobSasPermissions(read=True),
        expiry=expiry,
    )
    return f"{service.get_blob_client(CONTAINER, blob).url}?{token}"
