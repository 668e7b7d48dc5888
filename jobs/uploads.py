"""Uploads: a new version of a blob is one job, whichever source told of it and however often."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from azure.core.exceptions import ResourceModifiedError, ResourceNotFoundError
from azure.durable_functions import DurableOrchestrationClient
from azure.storage.blob import BlobProperties

from jobs import dead_letters, intake, ledger, letters, strict_json, telemetry
from jobs.clients import clients
from jobs.errors import BlobChangedError, PermanentError
from jobs.etags import if_match
from jobs.job import Job, open_envelope, parse

KINDS = {"photos": "photo", "order-imports": "order-import"}
"""The kind of job that a blob in each container becomes."""


async def take(container: str, name: str, durable: DurableOrchestrationClient) -> None:
    """Make the newest version of a blob a job, of the kind that belongs to its container.

    What can never be a job (a name that breaks the input model) costs this one attempt. Returns when nothing is left to
    do, raises when the host should call again.
    """
    source = source_of(container, name)
    try:
        found = await clients().container(container).get_blob_client(name).get_blob_properties()
    except ResourceNotFoundError:
        telemetry.upload_ignored(source, "the blob is gone")
        return
    uploaded_at = ledger.written(found.last_modified)
    fields = message(container, name, found.etag)
    try:
        await intake.submit(job_of(container, name, found), durable)
    except PermanentError as error:
        body = strict_json.canonical(fields)
        await dead_letters.bury_message(source, fields["input"]["etag"], body, error, first_seen=uploaded_at)


def job_of(container: str, name: str, found: BlobProperties) -> Job:
    """The job of this version of a blob, whose metadata `callbackUrl` and `replyTo` may say where its outcome is told.

    Raises InvalidInputError.
    """
    given = {key.lower(): value for key, value in (found.metadata or {}).items()}
    asked = {key: given[key.lower()] for key in ("callbackUrl", "replyTo") if given.get(key.lower())}
    fields = message(container, name, found.etag) | asked | {"enqueuedAt": ledger.written(found.last_modified)}
    return parse(open_envelope(fields), source=source_of(container, name))


def message(container: str, name: str, etag: str) -> dict[str, Any]:
    """The job message for one version of a blob; the same version always has the same job.

    `etag`: with quotes, as storage has it, or without, as Event Grid tells it. Raises KeyError for another container.
    """
    quoted = _quoted(etag)
    return {
        "kind": KINDS[container],
        "id": letters.digest(container, name, quoted),
        "input": {"name": name, "etag": quoted},
    }


def source_of(container: str, name: str) -> str:
    """What statuses and dead letters call the blob."""
    return f"blob:{container}/{name}"


def only(etag: str) -> dict[str, Any]:
    """Arguments for any request of the blob client that must meet this version of the blob and no other."""
    return if_match(_quoted(etag))


@contextmanager
def unchanged(container: str, name: str) -> Iterator[None]:
    """Requests in the block are for a version of the blob that may be gone: BlobChangedError says so."""
    try:
        yield
    except (ResourceModifiedError, ResourceNotFoundError):
        raise BlobChangedError(
            f"{container}/{name} is no longer the version that this job is about: if it was replaced, the new one has "
            "a job of its own; if it was deleted, upload it again"
        ) from None


def _quoted(etag: str) -> str:
    return '"' + etag.strip('"') + '"'
