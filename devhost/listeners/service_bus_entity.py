"""The queue or subscription that a function listens to: its name, its receivers, and what its errors mean."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from azure.servicebus import NEXT_AVAILABLE_SESSION
from azure.servicebus.exceptions import (
    MessagingEntityDisabledError,
    MessagingEntityNotFoundError,
    ServiceBusAuthenticationError,
    ServiceBusAuthorizationError,
    ServiceBusConnectionError,
    ServiceBusError,
)

from devhost.errors import DevhostError

if TYPE_CHECKING:
    from azure.servicebus.aio import ServiceBusReceiver

    from devhost.functions import Binding
    from devhost.service_bus_connections import Namespace

_SESSION_WAIT = 60.0
"""Seconds after which the service says that no session is available; asked again at once."""
_MISSING = "Declare it in servicebus.json and start the bus again, or create it in the portal."


class EntityError(DevhostError):
    """A trigger names no queue or subscription."""


class Entity:
    """A queue or a subscription, dead-letter sub-queues included (`<queue>/$DeadLetterQueue`)."""

    def __init__(self, namespace: Namespace, trigger: Binding) -> None:
        """Raises EntityError, and what Namespace.check_entity raises."""
        properties = trigger.properties
        self.namespace = namespace
        queue, topic = properties.get("queueName"), properties.get("topicName")
        subscription = properties.get("subscriptionName")
        if queue:
            self._address: dict[str, Any] = {"queue_name": queue}
        elif topic and subscription:
            self._address = {"topic_name": topic, "subscription_name": subscription}
        else:
            raise EntityError(
                "a Service Bus trigger needs a queue name, or a topic name and a subscription name.",
                "Use @app.service_bus_queue_trigger(queue_name=...) or service_bus_topic_trigger(...).",
            )
        self.path: str = queue or f"{topic}/Subscriptions/{subscription}"
        namespace.check_entity(queue or topic)

    def receiver(self) -> ServiceBusReceiver:
        """A new receiver of the entity."""
        return self.namespace.receiver(**self._address)

    def session_receiver(self) -> ServiceBusReceiver:
        """A new receiver of the next session that has messages and that nobody holds."""
        return self.namespace.receiver(**self._address, session_id=NEXT_AVAILABLE_SESSION, max_wait_time=_SESSION_WAIT)


def is_away(error: Exception) -> bool:
    """Whether an error means that the service does not answer (and not that it refuses)."""
    return isinstance(error, ServiceBusConnectionError | OSError)


def advice(error: Exception) -> str:
    """What a developer can do about a service that refuses, as a sentence; "" if unknown."""
    if isinstance(error, MessagingEntityNotFoundError):
        return _MISSING
    if isinstance(error, MessagingEntityDisabledError):
        return "Set its status to Active."
    if isinstance(error, ServiceBusAuthenticationError | ServiceBusAuthorizationError):
        return "Check name and key in the connection string, and that the entity exists."
    if isinstance(error, ServiceBusError) and "session" in str(error).lower():
        return "is_sessions_enabled of the trigger must be what RequiresSession of the entity is."
    return ""
