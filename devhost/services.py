"""Makes sure at start that the services which the functions need are there, and says how to start them."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from devhost.errors import DevhostError, FunctionLoadError, ServiceUnavailableError
from devhost.service_bus_connections import LOOPBACK

if TYPE_CHECKING:
    from devhost.functions import Function
    from devhost.host import Host

_STORAGE = {"queueTrigger": "queue", "queue": "queue", "blob": "blob", "table": "table", "blobTrigger": "blob",
            "timerTrigger": "blob"}  # fmt: skip
_SERVICE_BUS = frozenset({"serviceBusTrigger", "serviceBus"})
_PATIENCE = 5.0
_START_AZURITE = (
    "Start Azurite: `npx azurite --skipApiVersionCheck --disableTelemetry` (or `make run`, which starts all that the "
    "app needs), or point the connection at another account."
)
_START_BUS = (
    "Start it: `python -m devhost.servicebus --config servicebus.json` (or `make run`, which starts all that the app "
    "needs), or point the connection at another namespace."
)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a service listens."""

    name: str
    """As in "The queue service at http://127.0.0.1:10001/devstoreaccount1"."""
    host: str
    port: int
    remedy: str
    """How to start it on this machine."""


async def check_services(host: Host) -> None:
    """Knock at every service that the functions are bound to.

    Raises what endpoints raises, and ServiceUnavailableError when a service on this machine does not answer.
    """
    for endpoint in sorted(endpoints(host), key=lambda endpoint: endpoint.name):
        await _check(endpoint)


def endpoints(host: Host) -> set[Endpoint]:
    """All services that the functions are bound to. Raises FunctionLoadError for a connection that cannot be used."""
    found: set[Endpoint] = set()
    for function in host.functions.values():
        try:
            found |= _endpoints(host, function)
        except DevhostError as error:
            raise FunctionLoadError(function.name, error.message, error.remedy, is_setting=True) from None
    return found


def _endpoints(host: Host, function: Function) -> set[Endpoint]:
    found: set[Endpoint] = set()
    for binding in () if function.disabled else function.bindings:
        connection = binding.properties.get("connection")
        if service := _STORAGE.get(binding.type):
            url = getattr(host.storage.account(connection), f"{service}_endpoint")
            address = urlsplit(url)
            name = f"The {service} service at {url}"
            found.add(Endpoint(name, address.hostname or "", address.port or 80, _START_AZURITE))
        elif binding.type in _SERVICE_BUS:
            namespace = host.service_bus.namespace(connection)
            found.add(Endpoint(f"The Service Bus at {namespace.name}", *namespace.address, _START_BUS))
    return found


async def _check(endpoint: Endpoint) -> None:
    if endpoint.host not in LOOPBACK:
        return  # a service elsewhere is the business of its first call
    try:
        async with asyncio.timeout(_PATIENCE):
            _, writer = await asyncio.open_connection(endpoint.host, endpoint.port)
        writer.close()
    except (OSError, TimeoutError):
        raise ServiceUnavailableError(f"{endpoint.name} does not answer.", endpoint.remedy) from None
