"""What integration tests share: the jobs of a shop that runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest
from azure.core.exceptions import ResourceNotFoundError
from azure.storage.queue import QueueClient

from tests.integration.jobs_seen import Jobs


@pytest.fixture
def jobs_of(sandbox, stock, azurite) -> Iterator[Callable[..., Jobs]]:
    """The jobs of a shop that a test has opened itself, with settings of its own."""
    yield lambda shop: Jobs(shop, sandbox, stock, azurite.connection_string)
    # Azurite lives on, and the next test shall find no message but its own.
    for name in ("jobs", "jobs-urgent", "jobs-poison", "jobs-urgent-poison"):
        queue = QueueClient.from_connection_string(azurite.connection_string, name)
        with queue, suppress(ResourceNotFoundError):
            queue.clear_messages()


@pytest.fixture
def jobs(shop, jobs_of) -> Jobs:
    """One article to sell, the doors to order it by, and what became of the orders."""
    return jobs_of(shop)
