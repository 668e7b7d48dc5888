"""What all tests share: Azurite and hosts (devhost.testing), the sandbox, the app's settings, and stock to sell."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from azure.data.tables import TableServiceClient

from devhost.testing import TestHost
from sandbox.in_process import Sandbox

pytest_plugins = ["devhost.testing"]

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def running_sandbox() -> Iterator[Sandbox]:
    with Sandbox() as running:
        yield running


@pytest.fixture
def sandbox(running_sandbox: Sandbox) -> Sandbox:
    """The payment gateway and the mail server, empty and without faults."""
    running_sandbox.clear()
    return running_sandbox


def settings_for(storage: str, sandbox: Sandbox) -> dict[str, str]:
    """The app's settings for a storage connection string and a sandbox."""
    return {
        "AzureWebJobsStorage": storage,
        "PAYMENT_GATEWAY_URL": sandbox.url,
        "SMTP_HOST": sandbox.smtp_host,
        "SMTP_PORT": str(sandbox.smtp_port),
        "MAIL_FROM": "shop@nightshift.example",
    }


@pytest.fixture
def shop_settings(azurite, sandbox) -> dict[str, str]:
    """The app's settings, pointed at Azurite and the sandbox."""
    return settings_for(azurite.connection_string, sandbox)


class Stock:
    """The shop's stock, loaded as an operator loads it."""

    def __init__(self, settings: Mapping[str, str]) -> None:
        self._settings = settings

    def load(self, *articles: Mapping[str, Any]) -> None:
        subprocess.run(
            [sys.executable, "-m", "jobs", "stock", "load", "-"],
            input=json.dumps(articles),
            text=True,
            check=True,
            cwd=ROOT,
            env={**os.environ, **self._settings},
            stdout=subprocess.PIPE,
        )

    def left(self, sku: str) -> int:
        """How many pieces can still be sold, read past the app."""
        with TableServiceClient.from_connection_string(self._settings["AzureWebJobsStorage"]) as service:
            return service.get_table_client("stock").get_entity(sku, "stock")["available"]


@pytest.fixture
def stock(shop_settings) -> Stock:
    return Stock(shop_settings)


@pytest.fixture
def shop(devhost_host: Callable[..., TestHost], shop_settings) -> TestHost:
    """The app on a host in this process, with a virtual clock."""
    host = devhost_host(ROOT, settings=shop_settings)
    host.get("/api/health").raise_for_status()  # the app's queues, tables and containers exist from now on
    return host
