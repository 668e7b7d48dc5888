"""The local Service Bus that the modules test_service_bus_* share, one for each module, and its clients."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from types import ModuleType
from typing import Any

import pytest
from azure.servicebus import _servicebus_receiver, _servicebus_sender, _session_browser
from azure.servicebus._pyamqp import client
from azure.servicebus._pyamqp.aio import _client_async
from azure.servicebus.aio import _servicebus_receiver_async, _servicebus_sender_async, _session_browser_async

from devhost.servicebus.in_process import InProcessServiceBus
from tests.conformance.service_bus import Bus, configuration

NAPS = {0.05: 0.001, 1: 0.05}
"""Seconds that the client sleeps between two looks at a link that opens, and at whether it is to end its keep-alive."""


class Impatient:
    """A module whose sleep() is short for NAPS."""

    def __init__(self, module: ModuleType) -> None:
        self._module = module

    def __getattr__(self, name: str) -> Any:
        return getattr(self._module, name)

    def sleep(self, seconds: float) -> Any:
        return self._module.sleep(NAPS.get(seconds, seconds))


@pytest.fixture(scope="module")
def impatience() -> Iterator[None]:
    """Opening and closing a link takes the client 20 ms instead of half a second each; nothing else is touched."""
    with pytest.MonkeyPatch.context() as patch:
        for module in (_servicebus_receiver, _servicebus_sender, _session_browser, client):
            patch.setattr(module, "time", Impatient(time))
        for module in (_servicebus_receiver_async, _servicebus_sender_async, _session_browser_async, _client_async):
            patch.setattr(module, "asyncio", Impatient(asyncio))
        yield


def kinds_of(request: pytest.FixtureRequest) -> dict:
    return getattr(request.module, "KINDS", {})


@pytest.fixture(scope="module")
def bus_process(request: pytest.FixtureRequest, impatience) -> Iterator[InProcessServiceBus]:
    """A bus with the module's entities: KINDS (of queues), QUEUES and TOPICS, as far as it declares them."""
    queues, topics = getattr(request.module, "QUEUES", []), getattr(request.module, "TOPICS", [])
    with InProcessServiceBus(configuration(kinds_of(request), queues, topics)) as running:
        yield running


@pytest.fixture(scope="module")
def queue_numbers() -> dict[str, Iterator[int]]:
    """How many queues of each kind the module's tests have taken."""
    return {}


@pytest.fixture(scope="module")
async def bus(request: pytest.FixtureRequest, bus_process, queue_numbers) -> AsyncIterator[Bus]:
    """The aio client on the module's bus."""
    opened = Bus(bus_process.connection_string, kinds_of(request), queue_numbers)
    yield opened
    await opened.aclose()


@pytest.fixture(scope="module", params=["aio", "sync"])
async def both(request: pytest.FixtureRequest, bus_process, queue_numbers) -> AsyncIterator[Bus]:
    """The same for either client: a test that takes this runs twice."""
    is_async = request.param == "aio"
    opened = Bus(bus_process.connection_string, kinds_of(request), queue_numbers, is_async=is_async)
    yield opened
    await opened.aclose()
