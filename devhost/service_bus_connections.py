"""The Service Bus namespaces that an app is connected to, and the clients of each, shared by listeners and bindings."""

from __future__ import annotations

import asyncio
import logging
import ssl
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from azure.core.utils import parse_connection_string

from devhost.errors import DevhostError

if TYPE_CHECKING:
    from azure.servicebus.aio import ServiceBusClient, ServiceBusReceiver, ServiceBusSender

    from devhost.settings import Settings

LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
_TLS_PORT = 5671
_PLAIN_PORT = 5672
_REMEDY = (
    "Copy it from the line that `python -m devhost.servicebus` prints when it is ready, or from the portal's "
    "Shared access policies page."
)


class InvalidServiceBusConnectionError(DevhostError):
    """A Service Bus connection string cannot be used. Its text never shows the string, which holds a key."""


@dataclass(slots=True)
class _SharedSender:
    """A sender and its lock: the SDK's senders are not safe for concurrent use."""

    sender: ServiceBusSender
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


class Namespace:
    """One Service Bus namespace. Each receiver and each sender is a TCP connection of its own."""

    def __init__(self, connection_string: str) -> None:
        """Raises InvalidServiceBusConnectionError. The SDK is imported with the first receiver or sender."""
        parts = _read(connection_string)
        address = urlsplit(parts["endpoint"])
        is_emulator = parts.get("usedevelopmentemulator", "") == "true"
        self.address: tuple[str, int] = (address.hostname, address.port or _PLAIN_PORT if is_emulator else _TLS_PORT)
        """Host and port."""
        self.name = f"sb://{self.address[0]}" + (f":{self.address[1]}" if is_emulator else "")
        """How it is named in logs and errors."""
        self._entity_path: str = parts.get("entitypath", "")
        self._connection_string = connection_string
        self._is_emulator = is_emulator
        self._clients: list[ServiceBusClient] = []
        self._senders: dict[str, _SharedSender] = {}

    def check_entity(self, name: str) -> None:
        """Raise InvalidServiceBusConnectionError if the connection string is for another queue or topic only."""
        if self._entity_path and self._entity_path.lower() != name.split("/")[0].lower():
            raise InvalidServiceBusConnectionError(
                f"The connection string is for '{self._entity_path}' only (its EntityPath), but is used for '{name}'.",
                "Take EntityPath out of it, if its key is the namespace's, or use the entity's own connection string.",
            )

    def receiver(self, **entity: Any) -> ServiceBusReceiver:
        """A new receiver in peek-lock; `entity`: queue_name, or topic_name and subscription_name, and session_id.

        Its calls are not repeated by the SDK: whoever uses it knows better when to try again.
        """
        client = self._client(retry_total=0)
        return (client.get_queue_receiver if "queue_name" in entity else client.get_subscription_receiver)(**entity)

    def sender(self, entity: str, retry: dict[str, Any]) -> _SharedSender:
        """The sender of a queue or topic, one for the whole host; `retry`: the client's retry keywords."""
        shared = self._senders.get(entity.lower())
        if shared is None:
            # keep_alive: without its task the sender closes at once instead of up to a second later. A connection
            # that idled too long for the service is opened again by the SDK's retry.
            shared = _SharedSender(self._client(**retry).get_queue_sender(entity, keep_alive=0))
            self._senders[entity.lower()] = shared
        return shared

    async def close(self) -> None:
        """Close all senders. Receivers are closed by whoever asked for them."""
        senders, self._senders, self._clients = list(self._senders.values()), {}, []
        await asyncio.gather(*(shared.sender.close() for shared in senders), return_exceptions=True)

    def _client(self, **retry: Any) -> ServiceBusClient:
        from azure.servicebus.aio import ServiceBusClient

        # It warns of each connection that the service closes, which listeners and bindings say in their own way, once.
        logging.getLogger("azure.servicebus._pyamqp.aio._connection_async").setLevel(logging.ERROR)
        if self._is_emulator:
            # Without a context the SDK reads all certificate authorities for each connection (20 ms), TLS or not.
            retry["ssl_context"] = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        try:
            client = ServiceBusClient.from_connection_string(self._connection_string, **retry)
        except ValueError as error:
            raise _invalid(str(error)) from None
        self._clients.append(client)  # its handlers are weak references: without the client they would have no owner
        return client


class ServiceBusConnections:
    """Hands out one Namespace per connection string. `close()` ends their connections."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._namespaces: dict[str, Namespace] = {}

    def namespace(self, connection: str | None) -> Namespace:
        """The namespace that a binding's `connection` names (blank: AzureWebJobsServiceBus; functions-host.md §1.4).

        Raises what Settings.connection raises (identity connections are not covered), and
        InvalidServiceBusConnectionError.
        """
        text = self._settings.connection(connection, "serviceBus")
        if text not in self._namespaces:
            self._namespaces[text] = Namespace(text)
        return self._namespaces[text]

    async def close(self) -> None:
        """Close every connection; everything can be used, or asked for, again."""
        for namespace in self._namespaces.values():
            await namespace.close()


def _read(connection_string: str) -> dict[str, str]:
    try:
        parts = parse_connection_string(connection_string)
    except ValueError as error:
        raise _invalid(f"it does not read as key=value pairs ({error})") from None
    address = urlsplit(parts.get("endpoint", ""))
    try:
        port = address.port
    except ValueError:
        raise _invalid("the port in its Endpoint is no number") from None
    if address.scheme != "sb" or not address.hostname:
        raise _invalid("its Endpoint is not of the form sb://host or sb://host:port")
    has_key = bool(parts.get("sharedaccesskeyname")) and bool(parts.get("sharedaccesskey"))
    if not has_key and not parts.get("sharedaccesssignature"):
        raise _invalid("it has neither SharedAccessKeyName with SharedAccessKey nor SharedAccessSignature")
    if address.hostname in LOOPBACK and parts.get("usedevelopmentemulator") != "true":
        shown = f"sb://{address.hostname}" + (f":{port}" if port else "")
        raise _invalid(
            f"its Endpoint {shown} is this machine, but UseDevelopmentEmulator=true is missing, without which the "
            "client asks for TLS on port 5671"
        )
    return parts


def _invalid(why: str) -> InvalidServiceBusConnectionError:
    return InvalidServiceBusConnectionError(f"A Service Bus connection string cannot be used: {why}.", _REMEDY)
