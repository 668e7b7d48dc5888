"""The claim check: input that is sensitive or large waits in a blob, and only its name travels."""

from __future__ import annotations

import json
from typing import Any

from azure.core.exceptions import ResourceNotFoundError

from jobs.clients import clients
from jobs.errors import PermanentError

CONTAINER = "claims"
LARGEST_INLINE_INPUT = 32 * 1024
"""Bytes. A queue message takes 64 KiB and the Durable history moves to blobs of its own at 45 KB (durable.md §8)."""


class ClaimLostError(PermanentError):
    """The blob with the job's input is gone."""


def name(kind: str, id: str) -> str:
    """The blob that holds the input of a job: one, whichever door the job came by and however often."""
    return f"{kind}/{id}.json"


async def write(claim: str, content: bytes) -> None:
    """Leave the input. Doing it again changes nothing: a job's input never changes."""
    await clients().container(CONTAINER).upload_blob(claim, content, overwrite=True)


async def read(claim: str) -> Any:
    """The input that was left. Raises ClaimLostError."""
    try:
        download = await clients().container(CONTAINER).download_blob(claim)
        return json.loads(await download.readall())
    except ResourceNotFoundError:
        raise ClaimLostError(
            f"the input {CONTAINER}/{claim} is gone: was the blob deleted before the job ended?"
        ) from None
