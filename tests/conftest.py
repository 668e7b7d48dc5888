"""What all tests share: Azurite, the bus and hosts (devhost.testing), the sandbox, settings, and stock to sell."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import sys
from collections.abc import Awaitable, Callable, Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest
from azure.data.tables import TableClient, TableServiceClient
from azure.storage.queue import QueueServiceClient
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis

from sandbox.in_process import Sandbox
from tests.forked import run
from tests.impatience import with_certificates_read_once, without_naps

if TYPE_CHECKING:
    # Imported for real by pytest, as a plugin: only then can it rewrite the module's asserts.
    from devhost.servicebus.in_process import InProcessServiceBus
    from devhost.testing import TestHost

pytest_plugins = ["devhost.testing", "tests.integration.browser"]

ROOT = Path(__file__).resolve().parents[1]
TIMERS = ("nightly_sales_report", "nightly_retention", "watchdog")
BLOB_DOORS = ("take_photo", "take_order_import")
WITH_BLOBS = {f"AzureWebJobs.{name}.Disabled": "0" for name in BLOB_DOORS}
"""Settings for a shop that takes files."""

# The tests start some hundred hosts and processes: they share compiled modules, even where Python is told to keep none.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
# A busy machine is no fault of the code.
hypothesis.register_profile("patient", hypothesis.default, deadline=None, suppress_health_check=[HealthCheck.too_slow])
hypothesis.load_profile("patient")


def pytest_configure() -> None:
    """Nothing that is made until all tests are known is garbage, so nobody looks for any."""
    gc.disable()


def pytest_collection_finish() -> None:
    """Four thousand tests and all libraries stay: to look through them again each time takes 0.15 s."""
    gc.freeze()
    gc.enable()


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session", autouse=True)
def certificates_read_once() -> Iterator[None]:
    """To ask a host something costs no more than the answer."""
    with with_certificates_read_once():
        yield


@pytest.fixture(scope="session")
def running_sandbox() -> Iterator[Sandbox]:
    with Sandbox() as running:
        yield running


@pytest.fixture
def sandbox(running_sandbox: Sandbox) -> Sandbox:
    """The payment gateway and the mail server, empty and without faults."""
    running_sandbox.clear()
    return running_sandbox


def settings_for(storage: str, service_bus: str, sandbox: Sandbox) -> dict[str, str]:
    """The app's settings for the connection strings of storage and Service Bus, and a sandbox."""
    return {
        "AzureWebJobsStorage": storage,
        "AzureWebJobsServiceBus": service_bus,
        "PAYMENT_GATEWAY_URL": sandbox.url,
        "SMTP_HOST": sandbox.smtp_host,
        "SMTP_PORT": str(sandbox.smtp_port),
        "MAIL_FROM": "shop@nightshift.example",
    }


@pytest.fixture
def shop_settings(azurite, service_bus, sandbox) -> dict[str, str]:
    """The app's settings, pointed at Azurite, the Service Bus and the sandbox."""
    return settings_for(azurite.connection_string, service_bus.connection_string, sandbox)


class Stock:
    """The shop's stock."""

    def __init__(self, settings: Mapping[str, str]) -> None:
        self._settings = settings
        self._connection_string = settings["AzureWebJobsStorage"]

    def load(self, *articles: Mapping[str, Any]) -> None:
        """Set articles as an operator does. That also makes the tables, queues and containers that the app needs."""
        command = [sys.executable, "-m", "jobs", "stock", "load", "-"]
        run(command, input=json.dumps(articles), env={**os.environ, **self._settings}).check_returncode()

    def put(self, *articles: Mapping[str, Any]) -> None:
        """Set articles past the app, without the half second that a process takes to start."""
        with TableServiceClient.from_connection_string(self._connection_string) as service:
            table = service.create_table_if_not_exists("stock")
            for article in articles:
                table.upsert_entity({"PartitionKey": article["sku"], "RowKey": "stock", **article}, mode="replace")

    def left(self, sku: str) -> int:
        """How many pieces can still be sold, read past the app."""
        with TableServiceClient.from_connection_string(self._connection_string) as service:
            return service.get_table_client("stock").get_entity(sku, "stock")["available"]


@pytest.fixture
def stock(shop_settings) -> Stock:
    return Stock(shop_settings)


@pytest.fixture(scope="session")
def impatience() -> Iterator[None]:
    """The Service Bus client's links open and close at once."""
    with without_naps():
        yield


_STILL = {
    # Most tests want no watchdog each minute that they advance, and nobody who looks for new blobs whenever they wait:
    # `open_shop(**{"AzureWebJobs.watchdog.Disabled": "0"})`, `open_shop(**WITH_BLOBS)`.
    **{f"AzureWebJobs.{name}.Disabled": "1" for name in (*TIMERS, *BLOB_DOORS)},
    # The blobs of tests that went before are not new to this one.
    "AzureFunctionsWebHost__hostid": "shop",
}


@pytest.fixture(scope="session")
def provide(azurite) -> Callable[[ModuleType], Awaitable[None]]:
    """Has the app (its module `jobs.clients`) make the tables, containers and queues that it needs, once a session.

    Azurite keeps them for as long, and to ask for each of them again takes longer than most tests do.
    """
    is_provided = False

    async def provide_once(module: ModuleType) -> None:
        nonlocal is_provided
        clients = module.clients()
        if is_provided:
            clients._provided = asyncio.get_running_loop().create_future()
            clients._provided.set_result(None)
        await clients.provide()
        is_provided = True

    return provide_once


@pytest.fixture
def open_shop(
    devhost_host: Callable[..., TestHost], shop_settings, service_bus: InProcessServiceBus, impatience, provide
) -> Iterator[Callable[..., TestHost]]:
    """Starts the app on a host in this process, with a virtual clock; keywords are settings beside the usual ones.

    `enable_auth=True`: it asks for keys.
    """
    opened: list[tuple[TestHost, Any, Any]] = []
    # Azurite and the Service Bus live on between tests: a shop shall find no message but its own.
    _clear_queues(shop_settings["AzureWebJobsStorage"])
    service_bus.clear()

    def start(*, enable_auth: bool = False, **settings: str) -> TestHost:
        if "jobs.settings" in sys.modules:
            # A test that opens a second shop has its settings changed.
            sys.modules["jobs.settings"].settings.cache_clear()
        host = devhost_host(ROOT, settings={**_STILL, **shop_settings, **settings}, enable_auth=enable_auth)
        # The modules that the app uses: they are forgotten when the host stops.
        opened.append((host, sys.modules["jobs.clients"], sys.modules["jobs.settings"]))
        host.call(provide, opened[-1][1])
        return host

    yield start
    for host, clients, settings in reversed(opened):
        # Links to the bus can be closed only while what keeps them alive runs, and the last host to stop ends that.
        host.call(host.app.pause)
        host.call(_close, clients)
        host.stop()
        settings.settings.cache_clear()


def _clear_queues(connection_string: str) -> None:
    with QueueServiceClient.from_connection_string(connection_string) as service:
        for queue in service.list_queues():
            # Those that the app listens to: other apps of this session leave poison blobs of their own.
            if queue.name.startswith("jobs") or queue.name == "webjobs-blobtrigger-poison":
                service.get_queue_client(queue.name).clear_messages()


async def _close(clients: Any) -> None:
    await clients.clients().close()


@pytest.fixture
def no_alerts(azurite) -> Iterator[None]:
    """None that another test has raised is active in this one, and none of this one in another."""
    with TableServiceClient.from_connection_string(azurite.connection_string) as service:
        table = service.create_table_if_not_exists("alerts")
        _clear_table(table)
        yield
        _clear_table(table)


def _clear_table(table: TableClient) -> None:
    for row in list(table.list_entities()):
        table.delete_entity(row)


@pytest.fixture
def shop(open_shop) -> TestHost:
    """The app on a host in this process, with a virtual clock."""
    return open_shop()
