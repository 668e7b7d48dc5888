"""The local Service Bus that the modules test_service_bus_* share, one for each module, and its clients."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from tests.conformance.service_bus import Bus, configuration


@pytest.fixture(scope="module")
def bus_process(request: pytest.FixtureRequest):
    """A bus with the module's entities: KINDS (of queues), QUEUES and TOPICS, as far as it declares them."""
    from devhost.servicebus.in_process import InProcessServiceBus

    declared = [getattr(request.module, name, empty) for name, empty in (("KINDS", {}), ("QUEUES", []), ("TOPICS", []))]
    with InProcessServiceBus(configuration(*declared)) as running:
        yield running


@pytest.fixture(scope="module")
def queue_numbers() -> dict[str, Iterator[int]]:
    """How many queues of each kind the module's tests have taken."""
    return {}


@pytest.fixture(scope="module")
async def bus(bus_process, queue_numbers) -> AsyncIterator[Bus]:
    """The aio client on the module's bus."""
    opened = Bus(bus_process.connection_string, queue_numbers)
    yield opened
    await opened.aclose()


@pytest.fixture(scope="module", params=["aio", "sync"])
async def both(request: pytest.FixtureRequest, bus_process, queue_numbers) -> AsyncIterator[Bus]:
    """The same for either client: a test that takes this runs twice."""
    opened = Bus(bus_process.connection_string, queue_numbers, is_async=request.param == "aio")
    yield opened
    await opened.aclose()
