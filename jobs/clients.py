"""The connections that all jobs share: one set of Azure and HTTP clients for each process, made on first use."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cached_property
from typing import TYPE_CHECKING, Any
from urllib.request import getproxies
from weakref import WeakKeyDictionary

import aiohttp
from azure.core.credentials_async import AsyncTokenCredential
from azure.core.exceptions import ResourceExistsError
from azure.data.tables.aio import TableClient, TableServiceClient
from azure.storage.blob.aio import BlobServiceClient, ContainerClient
from azure.storage.queue.aio import QueueClient, QueueServiceClient

from jobs.errors import SettingMissingError
from jobs.settings import SERVICE_BUS, STORAGE, settings

if TYPE_CHECKING:
    from azure.servicebus.aio import ServiceBusClient

TABLES = (
    "jobs",
    "stock",
    "orders",
    "analytics",
    "replays",
    "sales",
    "imports",
    "schedules",
    "alerts",
    "approvals",
    "parcels",
)
CONTAINERS = (
    "claims",
    "results",
    "dead-letters",
    "photos",
    "thumbnails",
    "order-imports",
    "import-reports",
    "reports",
)
QUEUES = ("jobs", "jobs-urgent", "jobs-poison", "jobs-urgent-poison", "webjobs-blobtrigger-poison")

_RETRIES = {"retry_total": 2, "initial_backoff": 1, "connection_timeout": 5, "read_timeout": 20}
"""Short, because whoever calls storage here is tried again by its queue, its orchestrator or its HTTP client."""
_BUS_RETRIES = {"retry_total": 3, "retry_backoff_factor": 0.2, "try_timeout": 10}
"""The same for the Service Bus: four attempts within three seconds when it refuses, with 10 s for each answer."""


class Clients:
    """Clients for storage and HTTP. They hold connections, so they belong to one event loop, which shares them."""

    @cached_property
    def table_service(self) -> TableServiceClient:
        return self._service(TableServiceClient, "table")

    @cached_property
    def blob_service(self) -> BlobServiceClient:
        return self._service(BlobServiceClient, "blob")

    @cached_property
    def queue_service(self) -> QueueServiceClient:
        return self._service(QueueServiceClient, "queue")

    @cached_property
    def service_bus(self) -> ServiceBusClient:
        """Makes senders and receivers, each a connection of its own and for one task at a time: neither is safe for
        concurrent use. Raises SettingMissingError.
        """
        # Imported here because it takes a tenth of a second, and most jobs need none of it.
        from azure.servicebus.aio import ServiceBusClient

        if connection_string := settings().service_bus_connection_string:
            with _named(SERVICE_BUS):
                return ServiceBusClient.from_connection_string(connection_string, **_BUS_RETRIES)
        return ServiceBusClient(settings().service_bus_host(), self._credential, **_BUS_RETRIES)

    @cached_property
    def http(self) -> aiohttp.ClientSession:
        return aiohttp.ClientSession()

    def table(self, name: str) -> TableClient:
        return self._once("table", name, lambda: self.table_service.get_table_client(name))

    def container(self, name: str) -> ContainerClient:
        return self._once("container", name, lambda: self.blob_service.get_container_client(name))

    def queue(self, name: str) -> QueueClient:
        """A queue whose messages are plain text, as host.json's `messageEncoding: none` has it."""
        return self._once("queue", name, lambda: self.queue_service.get_queue_client(name))

    async def provide(self) -> None:
        """Create the tables, containers and queues that are not there yet. Done once a process; harmless to repeat.

        The host creates no queue that it listens to (functions-host.md §4), so it begins to listen after this.
        """
        if self._provided is None:
            creations = [self.table(name).create_table() for name in TABLES]
            creations += [self.container(name).create_container() for name in CONTAINERS]
            creations += [self.queue(name).create_queue() for name in QUEUES]
            self._provided = asyncio.gather(*map(_unless_it_exists, creations))
        try:
            await asyncio.shield(self._provided)
        except Exception:
            self._provided = None
            raise

    _provided: asyncio.Future | None = None

    async def close(self) -> None:
        """Let go of all connections. In a host they last as long as the process; commands and tests close them."""
        while self._closing:
            await self._closing.pop()()
        # It holds no connection itself: its senders and receivers do, and whoever opened them closes them.
        self.__dict__.pop("service_bus", None)
        self._made.clear()
        for name in ("table_service", "blob_service", "queue_service", "http", "_credential"):
            if client := self.__dict__.pop(name, None):
                await client.close()

    def before_closing(self, act: Callable[[], Awaitable[None]]) -> None:
        """Have something done when the connections are let go of: what works on them stops then."""
        self._closing.append(act)

    @cached_property
    def _closing(self) -> list[Callable[[], Awaitable[None]]]:
        return []

    @cached_property
    def _made(self) -> dict[tuple[str, str], Any]:
        return {}

    def _once(self, what: str, name: str, make: Callable[[], Any]) -> Any:
        """Making a client builds a pipeline, which costs as much as a tenth of a request."""
        if (what, name) not in self._made:
            self._made[what, name] = make()
        return self._made[what, name]

    def _service(self, client: type, service: str):
        # With its settings from the environment the transport reads ~/.netrc, in a thread, for each request.
        options = _RETRIES | {"use_env_settings": bool(getproxies())}
        if connection_string := settings().storage_connection_string:
            with _named(STORAGE):
                return client.from_connection_string(connection_string, **options)
        url = settings().storage_url(service)
        if service == "table":
            return client(endpoint=url, credential=self._credential, **options)
        return client(account_url=url, credential=self._credential, **options)

    @cached_property
    def _credential(self) -> AsyncTokenCredential:
        # Imported here because it takes a tenth of a second, and a connection string needs none of it.
        from azure.identity.aio import DefaultAzureCredential

        return DefaultAzureCredential()


_by_loop: WeakKeyDictionary[asyncio.AbstractEventLoop, Clients] = WeakKeyDictionary()


def clients() -> Clients:
    """The clients of the running event loop. A worker has one loop; tests have many."""
    loop = asyncio.get_running_loop()
    try:
        return _by_loop[loop]
    except KeyError:
        return _by_loop.setdefault(loop, Clients())


@contextmanager
def _named(setting: str) -> Iterator[None]:
    """What the SDKs say of a connection string names no setting."""
    try:
        yield
    except ValueError:
        raise SettingMissingError(f"{setting} is no connection string: set it to the one that Azure shows") from None


async def _unless_it_exists(creation: Awaitable[object]) -> None:
    with suppress(ResourceExistsError):
        await creation
