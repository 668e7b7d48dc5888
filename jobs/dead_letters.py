"""Where a message goes that can never be a job: at once, without further attempts, and with its reason in the log.

It goes to the queue's poison queue, where the host moves messages that keep failing (functions-host.md §4).
"""

from __future__ import annotations

from contextlib import suppress

from azure.core.exceptions import ResourceExistsError, ResourceNotFoundError

from jobs import telemetry
from jobs.clients import clients
from jobs.errors import JobError


async def park(queue: str, message_id: str, body: bytes, error: JobError) -> None:
    """Set the message aside as it came. When this raises, the message is still in its queue and comes again."""
    poison = clients().queue(f"{queue}-poison")
    text = body.decode("utf-8", "replace")
    try:
        await poison.send_message(text)
    except ResourceNotFoundError:
        with suppress(ResourceExistsError):
            # Another message may have been quicker.
            await poison.create_queue()
        await poison.send_message(text)
    telemetry.message_parked(queue, message_id, error)
