"""What failed, kept for its replay: one blob a message, and one a job.

A message may hold sensitive input, so its blob goes when its dead letter goes. A job's blob holds the message that
starts the job again, which refers to the claim; it says nothing sensitive, is the same after every failure, and stays.
"""

from __future__ import annotations

from typing import Any

from azure.core.exceptions import ResourceNotFoundError

from jobs import strict_json
from jobs.clients import clients
from jobs.errors import PermanentError
from jobs.ledger import JobRef

CONTAINER = "dead-letters"
MESSAGES, JOBS = "messages/", "jobs/"


class BodyMissingError(PermanentError):
    """The blob with a dead letter's body is gone."""


async def keep_message(letter_id: str, body: bytes) -> str:
    """Keep the body of a message, and return its blob. The same letter always has the same blob."""
    name = f"{MESSAGES}{letter_id}"
    await clients().container(CONTAINER).upload_blob(name, body, overwrite=True)
    return name


async def keep_job(job: JobRef, travelling_input: dict[str, Any]) -> None:
    """Keep what starts a job again, before its failure is entered: so whatever has failed can be replayed.

    `travelling_input`: what of its input is neither sensitive nor large.
    """
    message = {
        "kind": job.kind,
        "id": job.id,
        "correlationId": job.correlation_id,
        "input": travelling_input,
        "handOver": "replay",
    }
    await clients().container(CONTAINER).upload_blob(of_job(job), strict_json.canonical(message), overwrite=True)


def of_job(job: JobRef) -> str:
    """The blob that holds what starts the job again."""
    return f"{JOBS}{job.kind}/{job.id}.json"


async def read(name: str) -> bytes:
    """The body in a blob. Raises BodyMissingError."""
    try:
        return await (await clients().container(CONTAINER).download_blob(name)).readall()
    except ResourceNotFoundError:
        raise BodyMissingError(
            f"the body {CONTAINER}/{name} is gone: the message was replayed or discarded under another dead letter, "
            "so discard this one"
        ) from None


async def forget(name: str) -> None:
    """Delete the body of a message; a job's stays."""
    if name.startswith(MESSAGES):
        try:
            await clients().container(CONTAINER).delete_blob(name)
        except ResourceNotFoundError:
            return
