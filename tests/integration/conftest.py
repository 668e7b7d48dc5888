"""What integration tests share: the jobs of a shop that runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from jsonschema import Draft202012Validator, FormatChecker
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

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


@pytest.fixture
def described(shop):
    """Asserts that a body is what the app's own description calls it: `described("Status", body)`."""
    description = shop.get("/api/openapi.json").json()
    registry = Registry().with_resource("app:api", Resource(description, DRAFT202012))

    def check(schema: str, body: object) -> None:
        reference = {"$ref": f"app:api#/components/schemas/{schema}"}
        Draft202012Validator(reference, registry=registry, format_checker=FormatChecker()).validate(body)

    return check
