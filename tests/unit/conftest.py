"""What unit tests of the app share: its settings pointed at Azurite and the sandbox, and a stand-in for Durable."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from azure.durable_functions.models.DurableOrchestrationStatus import DurableOrchestrationStatus

from jobs.clients import clients
from jobs.settings import settings
from sandbox.in_process import Sandbox
from tests.unit.jobs.crashes import Crashes
from tests.unit.jobs.fake_bus import FakeBus


@pytest.fixture
async def storage(azurite, monkeypatch, provide) -> AsyncIterator[None]:
    """The app's clients work on Azurite, with every table, container and queue there."""
    monkeypatch.setenv("AzureWebJobsStorage", azurite.connection_string)
    settings.cache_clear()
    await provide(sys.modules[clients.__module__])
    yield
    await clients().close()
    settings.cache_clear()


@pytest.fixture
def world(sandbox, shop_settings, impatience, monkeypatch) -> Iterator[Sandbox]:
    """The payment gateway and the mail server, empty and without faults, and the settings that lead there."""
    for name, value in shop_settings.items():
        monkeypatch.setenv(name, value)
    settings.cache_clear()
    yield sandbox
    settings.cache_clear()


class FakeDurable:
    """A durable client that only remembers: which instances were started, with what, and which events were raised."""

    def __init__(self) -> None:
        self.started: dict[str, Any] = {}
        self.starts = 0
        self.events: list[tuple[str, str]] = []
        self.statuses: dict[str, dict[str, Any]] = {}
        """By instance id: `runtimeStatus`, `customStatus`, `historyEvents`."""

    async def start_new(self, name: str, instance_id: str, arguments: Any) -> str:
        if instance_id in self.started:
            raise Exception(f"an instance {instance_id} is running already")
        self.starts += 1
        self.started[instance_id] = arguments
        self.statuses[instance_id] = {"runtimeStatus": "Running"}
        return instance_id

    async def get_status(self, instance_id: str, **_: bool) -> DurableOrchestrationStatus:
        if instance_id not in self.statuses:
            return DurableOrchestrationStatus()
        known = {"createdTime": "2026-01-01T00:00:00Z"} | self.statuses[instance_id]
        return DurableOrchestrationStatus(name="order", instanceId=instance_id, **known)

    async def raise_event(self, instance_id: str, name: str) -> None:
        self.events.append((instance_id, name))


@pytest.fixture
def durable() -> FakeDurable:
    return FakeDurable()


@pytest.fixture
def crashes(storage, monkeypatch) -> Crashes:
    """Where the process dies, at calls to storage and to the Service Bus."""
    found = Crashes()
    found.at_storage(monkeypatch)
    return found


@pytest.fixture
async def bus(storage, crashes) -> FakeBus:
    """A Service Bus that only remembers."""
    clients().service_bus = FakeBus(crashes)
    return clients().service_bus
