"""Makes sure at start that the storage services which the functions need are there, and says how to start them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from devhost.errors import DevhostError, FunctionLoadError, ServiceUnavailableError

if TYPE_CHECKING:
    from devhost.functions import Function
    from devhost.host import Host

_SERVICE = {"queueTrigger": "queue", "queue": "queue", "blob": "blob", "table": "table", "blobTrigger": "blob"}
_PATIENCE = 5.0
_REMEDY = (
    "Start Azurite: `npx azurite --skipApiVersionCheck --disableTelemetry` (or `make run`, which starts all that the "
    "app needs), or point the connection at another account."
)


async def check_storage(host: Host) -> None:
    """Knock at every storage service that the functions are bound to.

    Raises what storage_endpoints raises, and ServiceUnavailableError when a service on this machine does not answer.
    """
    for endpoint, service in sorted(storage_endpoints(host).items()):
        await _check(endpoint, service)


def storage_endpoints(host: Host) -> dict[str, str]:
    """Endpoint → service of all storage that the functions are bound to. Raises FunctionLoadError for a missing one."""
    endpoints: dict[str, str] = {}
    for function in host.functions.values():
        try:
            endpoints |= _endpoints(host, function)
        except DevhostError as error:
            raise FunctionLoadError(function.name, error.message, error.remedy, is_setting=True) from None
    return endpoints


def _endpoints(host: Host, function: Function) -> dict[str, str]:
    """Endpoint → service, for all that the function is bound to."""
    found: dict[str, str] = {}
    for binding in function.bindings:
        service = _SERVICE.get(binding.type)
        if service is not None and not function.disabled:
            account = host.storage.account(binding.properties.get("connection"))
            found[getattr(account, f"{service}_endpoint")] = service
    return found


async def _check(endpoint: str, service: str) -> None:
    address = urlsplit(endpoint)
    if address.hostname not in ("127.0.0.1", "localhost", "::1"):
        return  # an account elsewhere is the business of its first call
    try:
        async with asyncio.timeout(_PATIENCE):
            _, writer = await asyncio.open_connection(address.hostname, address.port or 80)
        writer.close()
    except (OSError, TimeoutError):
        raise ServiceUnavailableError(f"The {service} service at {endpoint} does not answer.", _REMEDY) from None
