"""What is told in the Service Bus topic `job-events`: CloudEvents 1.0, by the label under which subscriptions look."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from jobs.links import Link

if TYPE_CHECKING:
    from azure.servicebus import ServiceBusMessage

TOPIC = Link("job-events", sends=True)
CONTENT_TYPE = "application/cloudevents+json; charset=utf-8"
"""The structured mode of the CloudEvents AMQP binding: all of the event is in the body."""
LONGEST_MESSAGE_ID = 128
"""Characters that Service Bus takes."""


@dataclass(frozen=True)
class Event:
    """One event. Nothing sensitive may be in it: whoever has a subscription reads it."""

    label: str
    """By which subscriptions tell events apart: the bus message's subject."""
    type: str
    source: str
    subject: str
    id: str
    """The same each time that it is told, so that whoever gets it twice can know."""
    time: str
    data: Mapping[str, Any]
    correlation_id: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """As CloudEvents 1.0 has it."""
        return {
            "specversion": "1.0",
            "id": self.id,
            "source": self.source,
            "type": self.type,
            "subject": self.subject,
            "time": self.time,
            "datacontenttype": "application/json",
            "data": self.data,
        }

    def to_message(self) -> ServiceBusMessage:
        """As the bus carries it, which drops what it has had a short while ago."""
        # Imported here because it takes a tenth of a second, and an app without Service Bus needs none of it.
        from azure.servicebus import ServiceBusMessage

        fits = len(self.id) <= LONGEST_MESSAGE_ID
        return ServiceBusMessage(
            json.dumps(self.to_dict()).encode(),
            message_id=self.id if fits else sha256(self.id.encode()).hexdigest(),
            subject=self.label,
            correlation_id=self.correlation_id,
            content_type=CONTENT_TYPE,
        )
