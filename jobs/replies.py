"""Replies: a job's outcome, sent to the Service Bus queue in which its sender waits."""

from __future__ import annotations

import json
import re

from jobs import status
from jobs.entry import Entry
from jobs.links import Link, links

ENTITY_NAME = r"^[A-Za-z0-9][A-Za-z0-9._/-]{0,259}$"
"""What a queue of a Service Bus may be called."""
OWN = frozenset({"jobs", "order-events", "deliveries", "poison-jobs", "job-events"})
"""What goes in there means something else to the app."""


def check(name: str) -> str:
    """The name, if a reply can be sent there. Raises ValueError."""
    if not re.fullmatch(ENTITY_NAME, name):
        raise ValueError("must be the name of a Service Bus queue")
    if name.lower().partition("/")[0] in OWN:
        raise ValueError("must be a queue of the sender's: this one is for the app itself")
    return name


async def send(entry: Entry, id: str) -> None:
    """Send the job's status. `id`: the message's, the same in each try. Raises ServiceBusUnavailableError."""
    from azure.servicebus import ServiceBusMessage

    message = ServiceBusMessage(
        json.dumps(await status.outcome(entry)),
        message_id=id,
        correlation_id=entry.reply_correlation_id or entry.job.correlation_id,
        session_id=entry.reply_session,
        subject=entry.state.lower(),
        content_type="application/json",
        application_properties={"kind": entry.job.kind, "id": entry.job.id, "status": entry.state},
    )
    async with links().lent(Link(entry.job.reply_to, sends=True)) as sender:
        await sender.send_messages(message)
