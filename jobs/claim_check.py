"""The claim check: input that is sensitive or large waits in a blob, and only its name travels.

The inputs of many jobs that come at once wait in one blob, JSON Lines; the claim of each then ends in
`#<offset>-<length>`, in bytes. Such a blob is written before any row that refers to it, and never again.
"""

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


def name_part(blob: str, offset: int, length: int) -> str:
    """The claim of one job whose input waits in a blob with others."""
    return f"{blob}#{offset}-{length}"


def blob_of(claim: str) -> str:
    """The blob that a claim is in."""
    return claim.partition("#")[0]


def is_shared(claim: str) -> bool:
    """Whether inputs of other jobs wait in the same blob."""
    return "#" in claim


async def write(claim: str, content: bytes) -> None:
    """Leave the input. Doing it again changes nothing: a job's input never changes, and a shared blob is there."""
    if is_shared(claim):
        return
    await clients().container(CONTAINER).upload_blob(claim, content, overwrite=True)


async def read(claim: str) -> Any:
    """The input that was left. Raises ClaimLostError."""
    blob, _, part = claim.partition("#")
    offset, length = map(int, part.split("-")) if part else (None, None)
    try:
        download = await clients().container(CONTAINER).download_blob(blob, offset=offset, length=length)
        return json.loads(await download.readall())
    except ResourceNotFoundError:
        raise ClaimLostError(
            f"the input {CONTAINER}/{claim} is gone: was the blob deleted before the job ended?"
        ) from None
