"""What integration tests share: the jobs of a shop that runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.integration.bus_seen import Bus
from tests.integration.jobs_seen import Jobs


@pytest.fixture
def jobs_of(sandbox, stock, azurite) -> Callable[..., Jobs]:
    """The jobs of a shop that a test has opened itself, with settings of its own."""
    return lambda shop: Jobs(shop, sandbox, stock, azurite.connection_string)


@pytest.fixture
def jobs(shop, jobs_of) -> Jobs:
    """One article to sell, the doors to order it by, and what became of the orders."""
    return jobs_of(shop)


@pytest.fixture(scope="session")
def bus(service_bus) -> Iterator[Bus]:
    """The Service Bus that the shop works with."""
    with Bus(service_bus) as seen:
        yield seen
