"""The local Service Bus that the modules test_service_bus_* share, one for each module; a command's own log."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Iterator

import pytest

from devhost.servicebus.in_process import InProcessServiceBus
from tests.conformance.service_bus import Bus, configuration


@pytest.fixture
def own_log() -> Iterator[None]:
    """For a command that runs in the test's process: it sends the log to its standard output, which the test ends."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


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
