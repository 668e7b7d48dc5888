"""Reads the sections of host.json that the app's functions depend on, so that a wrong value is said before they run."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from devhost.errors import HostJsonError
from devhost.listeners.blob_options import BlobOptions
from devhost.listeners.service_bus_options import ServiceBusOptions
from devhost.singleton import lock_period
from devhost.storage.queue_options import QueueOptions

if TYPE_CHECKING:
    from devhost.host import Host

_HUB_NAME = re.compile(r"[A-Za-z][A-Za-z0-9]{2,44}")
_QUEUE_TYPES = {"queueTrigger", "queue"}
_LOCKED_TYPES = {"timerTrigger", "blobTrigger"}
_SERVICE_BUS_TYPES = {"serviceBusTrigger", "serviceBus"}


def check_extension_options(host: Host) -> None:
    """Raises DevhostError for the first value that cannot be used."""
    types = {binding.type for function in host.functions.values() for binding in function.bindings}
    if types & _QUEUE_TYPES:
        QueueOptions.from_host(host)
    if "blobTrigger" in types:
        BlobOptions.from_host(host)
    if types & _SERVICE_BUS_TYPES:
        ServiceBusOptions.from_host(host)
    if types & _LOCKED_TYPES:
        lock_period(host.json)
    if host.needs_durable:
        from devhost.durable.options import DurableOptions

        DurableOptions.read(host.json.extension("durableTask"))
        _check_hub_name(host)


def _check_hub_name(host: Host) -> None:
    name = host.settings.resolve(str(host.json.extension("durableTask").get("hubName") or "TestHubName"))
    if not _HUB_NAME.fullmatch(name):
        raise HostJsonError(
            f"host.json: extensions.durableTask.hubName is '{name}', but in Azure a task hub's name has 3 to 45 "
            "letters and digits and begins with a letter.",
            "Correct it and start again.",
        )
