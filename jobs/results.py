"""Results: small ones rest in the ledger, large ones in a blob; and the short-lived links to files that jobs made."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from weakref import WeakKeyDictionary

from azure.storage.blob import BlobSasPermissions, ContentSettings, UserDelegationKey, generate_blob_sas
from azure.storage.blob.aio import BlobServiceClient

from jobs import strict_json
from jobs.clients import Clients, clients
from jobs.ledger import JobRef
from jobs.settings import settings

CONTAINER = "results"
LINKED_CONTAINERS = (CONTAINER, "thumbnails", "import-reports", "reports")
"""What lies in these a status may link to. In the others are what people sent in, and the app's own notes."""
LARGEST_INLINE_RESULT = 32 * 1024
"""Bytes. A table property holds 64 KiB of UTF-16 (durable.md §8)."""

SKEW = timedelta(minutes=5)
"""By so much the clocks of the app and of storage may differ."""
LONGEST_KEY = timedelta(days=7)
"""How long a user delegation key may be valid, and so any link that it signs (REST: Get User Delegation Key)."""


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
    """A link to a result that was too large for the ledger."""
    return await link(f"{CONTAINER}/{blob}", settings().result_url_lifetime)


async def with_links(result: Any) -> Any:
    """The result, with a `url` beside each `blob` (`<container>/<name>`) that names a file that a job has made."""
    if isinstance(result, list):
        return [await with_links(each) for each in result]
    if not isinstance(result, dict):
        return result
    shown = {name: await with_links(value) for name, value in result.items()}
    if is_linked(path := result.get("blob")):
        shown["url"] = await link(path, settings().result_url_lifetime)
    return shown


async def link(path: str, lifetime: float) -> str:
    """A link that lets its holder read one blob (`<container>/<name>`) for some seconds, with no other right.

    It is signed with the connection string's account key, or with a user delegation key when the app has an identity,
    and lives for at most as long as such a key may.
    """
    service = clients().blob_service
    container, _, name = path.partition("/")
    # The storage service decides when it is over, so this is real time, whatever clock a test has set.
    now = datetime.now(UTC)
    expiry = min(now + timedelta(seconds=lifetime), now + LONGEST_KEY - SKEW)
    account_key: str | None = getattr(service.credential, "account_key", None)
    token = generate_blob_sas(
        service.account_name,
        container,
        name,
        account_key=account_key,
        user_delegation_key=None if account_key else await _delegation_key(service, now, expiry),
        permission=BlobSasPermissions(read=True),
        expiry=expiry,
    )
    return f"{service.get_blob_client(container, name).url}?{token}"


def is_linked(path: Any) -> bool:
    """Whether it is a path of a blob to which a status may link."""
    container, _, name = path.partition("/") if isinstance(path, str) else ("", "", "")
    return container in LINKED_CONTAINERS and name != ""


async def _delegation_key(service: BlobServiceClient, now: datetime, until: datetime) -> UserDelegationKey:
    """A key that is valid until then at least. It is kept: a list of jobs has many links."""
    kept = _keys.get(clients())
    if kept is None or kept[1] < until:
        expiry = now + LONGEST_KEY - SKEW
        kept = await service.get_user_delegation_key(now - SKEW, expiry), expiry
        _keys[clients()] = kept
    return kept[0]


_keys: WeakKeyDictionary[Clients, tuple[UserDelegationKey, datetime]] = WeakKeyDictionary()
